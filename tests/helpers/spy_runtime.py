"""ONNX Runtime under other names, which counts what runs and can be slow, broken or absent."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgekit.errors import ExecutionError, RuntimeUnavailableError
from edgekit.runtimes import registry
from edgekit.runtimes.ort import OnnxRuntime
from edgekit.runtimes.protocol import Availability

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt
    import pytest

    from edgekit.runtimes.protocol import Artifact, Placement, Session, SessionSettings, TensorInfo


@dataclass
class SpyRuntime:
    """A runtime around the real one.

    Attributes:
        name: name.
        formats: formats.
        version: its version.
        absent: why it is not available; empty when it is.
        refuses: text of the error that every `open` raises; empty when it opens.
        delay: seconds that each inference takes longer.
        offers: devices.
        runs: (artifact name, batch size) of every inference.
        opened: sessions opened and not closed.
    """

    name: str = "onnxruntime"
    formats: frozenset[str] = frozenset({"onnx"})
    version: str = "9.9"
    absent: str = ""
    refuses: str = ""
    delay: float = 0.0
    offers: tuple[str, ...] = ("cpu",)
    runs: list[tuple[str, int]] = field(default_factory=list)
    opened: list[SpySession] = field(default_factory=list)

    def available(self) -> Availability:
        return Availability(not self.absent, "" if self.absent else self.version, self.absent)

    def devices(self) -> tuple[str, ...]:
        return () if self.absent else self.offers

    def open(self, artifact: Artifact, device: str, settings: SessionSettings) -> SpySession:
        if self.refuses:
            raise ExecutionError(f"{artifact.name}: {self.refuses}")
        session = SpySession(self, OnnxRuntime().open(artifact, "cpu", settings), artifact.name)
        self.opened.append(session)
        return session

    def batches(self, tower: str) -> list[int]:
        """Batch sizes that ran through a tower since the last `forget`."""
        return [size for name, size in self.runs if name.endswith(f"{tower}.onnx")]

    def forget(self) -> None:
        self.runs.clear()


@dataclass(eq=False)
class SpySession:
    runtime: SpyRuntime
    real: Session
    name: str

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        return self.real.inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        return self.real.outputs

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
        self.runtime.runs += [(self.name, len(array)) for array in inputs.values()]
        time.sleep(self.runtime.delay)
        return self.real.run(inputs)

    def placement(self) -> Placement:
        return self.real.placement()

    def close(self) -> None:
        self.real.close()
        if self in self.runtime.opened:
            self.runtime.opened.remove(self)


def install(monkeypatch: pytest.MonkeyPatch, *runtimes: SpyRuntime) -> None:
    """Register these runtimes, and no others, until the test ends."""
    by_name = {runtime.name: runtime for runtime in runtimes}

    def get(name: str) -> SpyRuntime:
        if name not in by_name:
            raise RuntimeUnavailableError(f"there is no runtime {name!r}; registered here: {', '.join(by_name)}")
        return by_name[name]

    monkeypatch.setattr(registry, "names", lambda: tuple(sorted(by_name)))
    monkeypatch.setattr(registry, "get", get)
