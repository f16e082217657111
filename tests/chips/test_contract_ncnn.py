"""ncnn keeps the contract."""

from __future__ import annotations

import pytest

import ncnn_models
import onnx_models
from edgekit.runtimes import registry
from runtime_contract import RuntimeContract, Subject


class TestNcnn(RuntimeContract):
    @pytest.fixture
    def subject(self, tmp_path) -> Subject:
        model = ncnn_models.PARAM.encode()
        return Subject(
            runtime=registry.get("ncnn"),
            device="cpu",
            free=ncnn_models.artifact(tmp_path),
            fixed=ncnn_models.artifact(None, 2, 5),
            in_memory=ncnn_models.artifact(),
            expected=onnx_models.expected,
            malformed=(b"", b"\0", b"not a model", model[:-1], model[: len(model) // 2], model[1:], b"\xff" * 64),
        )
