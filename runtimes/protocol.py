"""What an inference engine must offer: open an artifact on a device, run arrays through it, say where it ran."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Blob:
    """Bytes of one file, and where the same bytes lie on disk when they do.

    Attributes:
        view: the bytes.
        path: a file that holds them, or None when they are only in memory.
        offset: where in that file they start.
    """

    view: memoryview
    path: Path | None = None
    offset: int = 0


@dataclass(frozen=True)
class Artifact:
    """A model file that a runtime can open.

    Attributes:
        name: for messages, such as ``starter.edge: variants/fp32/image.onnx``.
        format: such as ``onnx``.
        model: the model file.
        sidecars: files the model refers to, by their base name.
    """

    name: str
    format: str
    model: Blob
    sidecars: Mapping[str, Blob] = field(default_factory=dict)


@dataclass(frozen=True)
class SessionSettings:
    """How a session uses the machine.

    Attributes:
        threads: threads of one inference; 0 leaves the choice to the engine (one per physical core).
        spinning: let idle threads wait actively, which saves latency and costs power.
        arena: keep freed memory for the next inference, which saves time and costs memory.
        allow_cpu: let the CPU take nodes that the device asked for refuses, instead of failing.
        options: settings that only one engine has, as (name, value) pairs; an engine refuses names it does not know.
    """

    threads: int = 0
    spinning: bool = True
    arena: bool = True
    allow_cpu: bool = False
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class TensorInfo:
    """Name, NumPy dtype name and shape of an input or output; a free dimension is None."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Availability:
    """Whether a runtime works here.

    Attributes:
        ok: True when it can open artifacts.
        version: the engine's version, or an empty string when it is absent.
        reason: why it cannot be used and what installs it; empty when `ok`.
    """

    ok: bool
    version: str
    reason: str


@dataclass(frozen=True)
class NodePlacement:
    """One node of the graph as it is executed: its name, operator and the device that runs it."""

    name: str
    op: str
    device: str


@dataclass(frozen=True)
class Placement:
    """Which node runs where, as the engine reports it after optimising the graph.

    Attributes:
        nodes: in the graph's order.
        note: what else a person should know, such as that a compiled model was kept from an earlier load.
    """

    nodes: tuple[NodePlacement, ...]
    note: str = ""

    def counts(self) -> dict[str, int]:
        """Return the number of nodes per device."""
        return dict(Counter(node.device for node in self.nodes))


class Session(Protocol):
    """An opened artifact. `run` may be called from several threads at once."""

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """The inputs, in the graph's order."""

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """The outputs, in the graph's order."""

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
        """Run one inference.

        Args:
            inputs: every input by name, with the dtype and shape that `inputs` states.

        Returns:
            Every output by name, owned by the caller.

        Raises:
            ExecutionError: the session is closed, an input is missing, unknown or of the wrong dtype or shape, or
                the engine failed.
        """

    def placement(self) -> Placement:
        """Return which node runs where."""

    def close(self) -> None:
        """Wait for running inferences and free the engine's memory; closing twice is harmless."""


class Runtime(Protocol):
    """One inference engine."""

    @property
    def name(self) -> str:
        """Name under which the runtime is registered."""

    @property
    def formats(self) -> frozenset[str]:
        """Artifact formats it opens."""

    def available(self) -> Availability:
        """Say whether the engine can be used here; never raises."""

    def devices(self) -> tuple[str, ...]:
        """Return the devices it offers here, preferred first; empty when not available.

        A name that ends in a colon, such as ``delegate:``, is a family: the user names a member, ``delegate:/path.so``,
        and none competes unless named.
        """

    def open(self, artifact: Artifact, device: str, settings: SessionSettings) -> Session:
        """Open an artifact on a device.

        Args:
            artifact: of one of `formats`.
            device: one of `devices()`.
            settings: how to use the machine.

        Returns:
            A session, every node on `device` unless ``settings.allow_cpu``.

        Raises:
            ExecutionError: the engine refused the artifact.
            PlacementError: the device is not offered here, or did not take the work.
        """
