"""OpenVINO keeps the contract."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import onnx_models
from edgekit.runtimes import registry
from edgekit.runtimes.protocol import Blob
from runtime_contract import SidecarContract, Subject

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.runtimes.protocol import Artifact


class TestOpenVino(SidecarContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        data = onnx_models.SIDECAR
        free = onnx_models.artifact(tmp_path, onnx_models.two_inputs(), {onnx_models.WEIGHTS: data})
        model = bytes(free.model.view)

        def pointing_at(location: str) -> Artifact:
            return replace(free, model=Blob(memoryview(onnx_models.two_inputs(location=location))))

        return Subject(
            runtime=registry.get("openvino"),
            device="cpu",
            free=free,
            fixed=replace(free, model=Blob(memoryview(onnx_models.two_inputs(2, 5)))),
            in_memory=replace(free, sidecars={onnx_models.WEIGHTS: Blob(memoryview(data))}),
            expected=onnx_models.expected,
            malformed=(b"", b"\0", b"not a model", model[:-1], model[: len(model) // 2], model[1:], b"\xff" * 64),
            pointing_at=pointing_at,
        )
