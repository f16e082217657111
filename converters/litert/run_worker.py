"""The child that runs a file on one of edgekit's runtimes: a file that aborts the process ends only this one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.bundle.members import mapped
from edgekit.converters import children
from edgekit.converters.litert import work
from edgekit.runtimes import registry
from edgekit.runtimes.protocol import Artifact, Blob, SessionSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

FORMATS = {"onnxruntime": "onnx", "litert": "tflite"}


def main(folder: Path, runs: Sequence[str]) -> None:
    """Run the samples in `folder` through files, one after the other, and store the embeddings.

    Args:
        folder: the work folder.
        runs: three for each run: a key of `FORMATS`, the model file (ONNX's external data lies beside it), and the
            name of the ``.npy`` to write in `folder`.
    """
    for runtime, path, out in zip(runs[::3], runs[1::3], runs[2::3], strict=True):
        children.stage(f"running {Path(path).name} on {runtime}")
        np.save(folder / out, embed(runtime, Path(path), work.read_samples(folder)), allow_pickle=False)


def embed(runtime: str, path: Path, samples: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Run inputs through a file.

    Args:
        runtime: a key of `FORMATS`.
        path: the model file.
        samples: (n, …) contract inputs.

    Returns:
        (n, D) embeddings.
    """
    sidecar = path.with_name(f"{path.name}.data")
    blobs = {sidecar.name: Blob(mapped(sidecar), sidecar.absolute())} if sidecar.exists() else {}
    artifact = Artifact(path.name, FORMATS[runtime], Blob(mapped(path), path.absolute()), blobs)
    session = registry.get(runtime).open(artifact, "cpu", SessionSettings(threads=1))
    (given,), (taken,) = session.inputs, session.outputs
    size = given.shape[0] or 1
    rows = []
    for start in range(0, len(samples), size):
        part = np.asarray(samples[start : start + size])
        # A static batch is filled up with its last row.
        full = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
        rows.append(session.run({given.name: full})[taken.name][: len(part)])
    session.close()
    return np.concatenate(rows)


if __name__ == "__main__":
    children.report(lambda: main(Path(sys.argv[1]), sys.argv[2:]))
