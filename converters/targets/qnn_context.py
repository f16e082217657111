"""A tower compiled in advance for one of Qualcomm's chips ("context binary"), beside the ONNX file it came from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.atomic import write_bytes
from edgekit.converters.quantize.data import GOLDEN
from edgekit.converters.targets import steps
from edgekit.errors import ConversionError
from edgekit.runtimes import ort_in_advance, ort_placement, qnn_chips
from edgekit.runtimes.protocol import Artifact, Blob, NodePlacement, Placement

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.converters.targets.records import Built, TowerJob

_WORKER = Path(__file__).with_name("qnn_context_worker.py")
_PACKAGE = "onnxruntime-qnn"
_MB = 1e6


def added(job: TowerJob, built: Built, toolchain: str, on_stage: Callable[[str], None]) -> Built:
    """Let the provider compile a finished tower, and put that beside it.

    Args:
        job: the tower was made for.
        built: the tower, its files in the job's work folder.
        toolchain: name of the toolchain.
        on_stage: called with the name of each stage as it begins.

    Returns:
        The tower with two more files, see `ort_in_advance`.

    Raises:
        ConversionError: the tool failed, or what was compiled computes other rows than the file it came from.
    """
    source, *beside = built.files
    chip, out = qnn_chips.find(job.chip.tool_name), f"{source.stem}{ort_in_advance.MODEL}"
    request = {
        "model": source.name,
        "soc_model": chip.soc_model,
        "htp_arch": chip.htp_arch,
        "inputs": str(job.inputs[GOLDEN].absolute()),
        "out": out,
    }
    answer = steps.in_toolchain(job, toolchain, _WORKER, request, on_stage)
    found = answer.result
    # The same tool compiled both, for the same chip: anything but the same numbers is a fault.
    if found["difference"] != 0:
        raise ConversionError(
            f"the {job.tower} tower compiled in advance for {chip} differs by {found['difference']:g} from the file it "
            "came from; leave --context out, and the device compiles it"
        )
    nodes = tuple(NodePlacement(name, op, ort_placement.device_of(provider)) for name, op, provider in found["nodes"])
    compiler, model = f"{_PACKAGE} {found['versions'][_PACKAGE]}", (job.folder / out).read_bytes()
    artifact = Artifact(source.name, "onnx", _blob(source), {path.name: _blob(path) for path in beside})
    facts = job.folder / f"{source.stem}{ort_in_advance.FACTS}"
    described = ort_in_advance.describe(artifact, model, compiler, found["sdk"], chip.names[0], Placement(nodes))
    write_bytes(facts, described.encode())
    told = f"{len(model) / _MB:.1f} MB for {chip} by {compiler}, SDK {found['sdk']}"
    return replace(
        built,
        files=(*built.files, job.folder / out, facts),
        facts={**built.facts, "compiled in advance": told},
        toolchain={**built.toolchain, "QNN SDK": found["sdk"]},
        seconds=built.seconds + answer.seconds,
        peak_bytes=max(built.peak_bytes, answer.peak_bytes),
    )


def _blob(path: Path) -> Blob:
    return Blob(memoryview(path.read_bytes()), path)
