"""The contract suite's subject for any runtime that opens ONNX files with sidecars."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import onnx_models
from edgekit.runtimes import registry
from edgekit.runtimes.protocol import Blob
from runtime_contract import Subject

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.runtimes.protocol import Artifact


def subject(runtime: str, folder: Path) -> Subject:
    """Return a runtime with models of ONNX; weights lie in `folder`."""
    data = onnx_models.SIDECAR
    free = onnx_models.artifact(folder, onnx_models.two_inputs(), {onnx_models.WEIGHTS: data})
    model = bytes(free.model.view)

    def pointing_at(location: str) -> Artifact:
        return replace(free, model=Blob(memoryview(onnx_models.two_inputs(location=location))))

    return Subject(
        runtime=registry.get(runtime),
        device="cpu",
        free=free,
        fixed=replace(free, model=Blob(memoryview(onnx_models.two_inputs(2, 5)))),
        in_memory=replace(free, sidecars={onnx_models.WEIGHTS: Blob(memoryview(data))}),
        expected=onnx_models.expected,
        malformed=(b"", b"\0", b"not a model", model[:-1], model[: len(model) // 2], model[1:], b"\xff" * 64),
        pointing_at=pointing_at,
    )
