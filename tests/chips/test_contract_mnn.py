"""MNN keeps the contract."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import mnn_models
import onnx_models
from edgekit.runtimes import registry
from edgekit.runtimes.protocol import Blob
from runtime_contract import RuntimeContract, Subject

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module", name="files")
def _files(tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("mnn")
    return mnn_models.two_inputs(folder), mnn_models.two_inputs(folder, 2, 5)


class TestMnn(RuntimeContract):
    @pytest.fixture
    def subject(self, files) -> Subject:
        free, fixed = files
        model = bytes(free.model.view)
        return Subject(
            runtime=registry.get("mnn"),
            device="cpu",
            free=free,
            fixed=fixed,
            in_memory=replace(free, model=Blob(memoryview(model))),
            expected=onnx_models.expected,
            malformed=(b"", b"\0", b"not a model", model[:-1], model[: len(model) // 2], model[1:], b"\xff" * 64),
        )
