"""Open contenders: edgekit with any bundle, a bare session of ONNX Runtime, and peers with weights of their own."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import edgekit
from edgekit.benchmarks.versus.records import Opened
from edgekit.benchmarks.workloads.image import ImageWork
from edgekit.benchmarks.workloads.text import TextWork
from edgekit.bundle.reader import open_bundle
from edgekit.locations import resolve
from edgekit.runtimes.protocol import SessionSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from edgekit.benchmarks.results.records import Pipeline
    from edgekit.benchmarks.versus.records import Contender
    from edgekit.clip import Clip

    Embed = Callable[[int], npt.NDArray[np.float32]]


def opened(contender: Contender, pipeline: Pipeline, samples: Sequence[str]) -> tuple[Opened, Embed]:
    """Open a contender in this process.

    Args:
        contender: what to open.
        pipeline: what a query does; peers know ``photo`` alone.
        samples: paths of photos, or texts.

    Returns:
        What it says of itself, and what turns the position of a sample into its embedding, (D,) float32.

    Raises:
        InputError: its model, or one of its settings, cannot be used.
        MissingDependencyError: it is not installed; the message names the command that installs it.
        EdgekitError: it refused to open.
    """
    begin = time.perf_counter()
    if contender.kind == "edgekit":
        found, embed = _edgekit(contender, pipeline, samples)
    else:
        found, embed = _peer(contender, samples)
    return replace(found, load_ms=1e3 * (time.perf_counter() - begin)), embed


def _peer(contender: Contender, samples: Sequence[str]) -> tuple[Opened, Embed]:
    if contender.kind == "onnxruntime":
        from edgekit.benchmarks.versus import bare

        return bare.opened(contender, samples)
    from edgekit.benchmarks.peers import contenders

    return contenders.opened(contender, samples)


def _edgekit(contender: Contender, pipeline: Pipeline, samples: Sequence[str]) -> tuple[Opened, Embed]:
    settings = None
    if contender.threads is not None or contender.options:
        settings = SessionSettings(threads=contender.threads or 0, options=contender.options)
    clip = edgekit.load(
        contender.model,
        variant=contender.variant or None,
        runtime=contender.runtime or None,
        device=contender.device,
        settings=settings,
        towers=("text",) if pipeline == "text" else ("image",),
    )
    chosen = clip.explain().chosen
    record = next(v for v in clip.manifest.variants if v.id == chosen.variant)
    found = Opened(
        model=f"{clip.manifest.name} {clip.manifest.version}, {chosen.variant}",
        digest=open_bundle(resolve(contender.model)).digest,
        space=clip.space,
        variant=chosen.variant,
        precision=record.precision,
        engine=chosen.runtime,
        device=chosen.device,
        threads=contender.threads if contender.threads is not None else chosen.threads,
        load_ms=0.0,
    )
    return found, _embedding(clip, contender, pipeline, samples)


def _embedding(clip: Clip, contender: Contender, pipeline: Pipeline, samples: Sequence[str]) -> Embed:
    if pipeline == "photo":
        return lambda sample: clip.embed_images([samples[sample]], decoding=contender.decoding)[0]
    work = TextWork(clip, samples) if pipeline == "text" else ImageWork(clip, samples)
    return lambda sample: work.rows([sample])[0][0]
