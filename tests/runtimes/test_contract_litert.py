"""LiteRT keeps the contract, on whichever of its two engines is installed."""

from __future__ import annotations

import pytest

import litert_files
from edgekit.runtimes import registry
from runtime_contract import RuntimeContract, Subject


class TestLiteRt(RuntimeContract):
    @pytest.fixture
    def subject(self) -> Subject:
        free = litert_files.artifact("two_inputs")
        model = bytes(free.model.view)
        return Subject(
            runtime=registry.get("litert"),
            device="cpu",
            free=free,
            fixed=litert_files.artifact("two_inputs_fixed"),
            in_memory=litert_files.in_memory("two_inputs"),
            expected=litert_files.expected,
            malformed=(b"", b"\0", b"not a model", model[:-1], model[: len(model) // 2], model[1:], b"\xff" * 64),
        )
