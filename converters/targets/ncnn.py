"""ncnn: Tencent's engine for phones and boards; files made by pnnx and proven by the engine itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.adapting import PROJECTION
from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.bundle.manifest import TensorSpec
from edgekit.converters.targets import ncnn_graph, steps
from edgekit.converters.targets import ncnn_prepare_worker as preparing
from edgekit.converters.targets.records import Built, Chip
from edgekit.runtimes import ncnn_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.converters.targets.records import Precision, TowerJob

_WORKER = Path(__file__).with_name("ncnn_worker.py")
_PRECISIONS: tuple[Precision, ...] = ("fp16", "fp32")
_OUTPUT = "out0"
"""What pnnx calls the first output."""


class Ncnn:
    """pnnx 20261020 and ncnn of the same day. The shape is fixed but for the batch, which is run row by row.

    ``fp16`` stores the weights in 16 bits; edgekit's runtime computes in float32 unless it is told otherwise. 8 bits
    are not offered: the package has no tool that makes them.
    """

    @property
    def format(self) -> str:
        """``ncnn``."""
        return "ncnn"

    @property
    def toolchain(self) -> str:
        """``ncnn``."""
        return "ncnn"

    def chips(self) -> tuple[Chip, ...]:
        """Return the engine itself: its files are the same for every processor."""
        return (
            Chip("ncnn", "ncnn", _PRECISIONS, "hardware", "ncnn's engine on any processor; proven on this machine's"),
        )

    def towers(self, chip: Chip) -> tuple[str, ...]:
        """Return both towers; the other of a single one is compiled in fp16."""
        return ("image", "text")

    def build(self, job: TowerJob, on_stage: Callable[[str], None]) -> Built:
        """Convert a tower and run it with ncnn; see `Target.build`.

        Args:
            job: what to compile.
            on_stage: called with the name of each stage as it begins.

        Returns:
            The three files, and what ncnn computes.

        Raises:
            UnsupportedModelError: an operator is known not to work, or ncnn has no layer for it.
            ConversionError: pnnx or ncnn failed.
        """
        precision = job.precision or "fp16"
        asked = preparing.Request(str(job.master.absolute()), job.shape, job.tower)
        named = (preparing.REQUEST, preparing.FACTS)
        prepared = steps.in_child(job, "ncnn_prepare_worker", asked, named, preparing.Facts, on_stage)
        specs = _specs(job, prepared)
        files = tuple(
            job.folder / f"{job.tower}{ending}" for ending in (".param", ncnn_model.WEIGHTS, ncnn_model.SPECS)
        )
        write_bytes(files[2], schema.dumps(specs).encode())
        request = {
            "model": preparing.GRAPH,
            "table": preparing.TABLE if job.tower == "text" else "",
            "words": f"in{prepared.inputs.index(ncnn_graph.WORDS)}" if job.tower == "text" else "",
            "half": precision == "fp16",
            "param": files[0].name,
            "weights": files[1].name,
            "specs": files[2].name,
            "parts": steps.proof_inputs(job),
        }
        answer = steps.in_toolchain(job, self.toolchain, _WORKER, request, on_stage)
        return Built(
            files=files,
            input=steps.contract_input(job, prepared.input, ("N", *job.shape[1:])),
            output=TensorSpec(PROJECTION, "float32", ("N", prepared.dimension)),
            rows=steps.proof_rows(job, prepared.dimension),
            precision=precision,
            facts=_facts(answer.result, prepared),
            toolchain=steps.versions(answer),
            seconds=answer.seconds,
            peak_bytes=answer.peak_bytes,
        )


def _specs(job: TowerJob, prepared: preparing.Facts) -> dict[str, Any]:
    """Return what edgekit's sidecar says; see `edgekit.runtimes.ncnn_model`."""
    # pnnx names inputs by their place in the graph; the table is looked up by the ids themselves.
    blobs = [
        {"name": prepared.input if name == ncnn_graph.WORDS else f"in{place}", "dtype": dtype}
        for place, name in enumerate(prepared.inputs)
        for dtype in ("int32" if name == ncnn_graph.WORDS else "float32",)
    ]
    dtype = "uint8" if job.tower == "image" else "int32"
    given = {"name": prepared.input, "dtype": dtype, "shape": [None, *job.shape[1:]], "blobs": blobs}
    taken = {"name": PROJECTION, "shape": [None, prepared.dimension], "blob": _OUTPUT}
    return {"inputs": [given], "outputs": [taken]}


def _facts(result: dict[str, Any], prepared: preparing.Facts) -> dict[str, str]:
    facts = {"layers": str(result["layers"])}
    return {**facts, **steps.graph_facts(prepared.unknown, masks=prepared.masks)}
