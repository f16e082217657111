"""A stand-in for every vendor's tool: it computes in float32 just what its request says, and nothing that it does not.

Whatever a target forgets to tell a tool, or tells it wrongly, makes other embeddings. The tools themselves are run by
``tests/compilers``.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from edgekit.converters.targets import steps
from edgekit.converters.toolchains import work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt
    import pytest

SECONDS, PEAK = 1.5, 7_000_000


class ComputingTool:
    """Stands in the place of `work.run`; keeps what it was asked."""

    def __init__(self, answers: Mapping[str, Callable[[Path, dict[str, Any]], dict[str, Any]]]) -> None:
        """Take, by the name of a worker's file, what makes its answer; it may write files."""
        self.answers = answers
        self.asked: dict[str, dict[str, Any]] = {}

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Replace the tool, and run edgekit's own children in this process, where they start at once."""
        patch.setattr(work, "run", self)
        patch.setattr(steps, "run_child", _in_this_process)

    def __call__(
        self,
        toolchain: Any,
        worker: Path,
        folder: Path,
        request: Mapping[str, Any],
        limits: work.Limits,
        on_stage: Callable[[str], None],
    ) -> work.Answer:
        """Compute the parts, as far as the request has any."""
        asked = dict(request)
        assert worker.is_file()
        self.asked[worker.stem] = asked
        on_stage(f"computing with {toolchain.name}")
        for part, path in asked.get("parts", {}).items():
            assert Path(path).is_absolute(), "a worker runs in another folder"
            np.save(folder / f"{part}.rows.npy", _computed(folder, asked, np.load(path)), allow_pickle=False)
        return work.Answer(self.answers[worker.stem](folder, asked), SECONDS, PEAK)


def _computed(folder: Path, asked: dict[str, Any], inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    session = onnxruntime.InferenceSession(str(folder / asked["model"]), providers=["CPUExecutionProvider"])
    table = np.load(folder / asked["table"]) if asked.get("table") else None
    rows = []
    for row in inputs:
        given = row[None]
        if asked.get("mean"):
            levels = (given.astype(np.float32) - np.float32(asked["mean"])) / np.float32(asked["std"])
            given = np.ascontiguousarray(levels.transpose(0, 3, 1, 2))
        fed = {}
        for number, one in enumerate(session.get_inputs()):
            words = table is not None and asked["words"] == f"in{number}"
            floats = one.type == "tensor(float)"
            fed[one.name] = table[row][None] if words else given.astype(np.float32) if floats else given
        rows.append(session.run(None, fed)[0])
    return np.concatenate(rows)


def _in_this_process(module: str, folder: Path, arguments: tuple[str, ...], on_stage: Callable[[str], None]) -> None:
    importlib.import_module(module).main(folder, *arguments)
