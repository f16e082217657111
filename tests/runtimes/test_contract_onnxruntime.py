"""ONNX Runtime keeps the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import onnx_subject
from runtime_contract import SidecarContract, Subject

if TYPE_CHECKING:
    from pathlib import Path


class TestOnnxRuntime(SidecarContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        return onnx_subject.subject("onnxruntime", tmp_path)
