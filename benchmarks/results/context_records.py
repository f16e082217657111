"""The device a run was made on, and its state before and after."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """What does not change between two runs.

    Attributes:
        hostname: of the machine.
        board: model of the board, from the device tree or DMI; empty where neither tells.
        soc: of the processor, likewise.
        architecture: such as ``aarch64``.
        cores: logical processors that this process may use.
        core_kinds: processors of each kind, such as ``{"Cortex-A76": 4, "Cortex-A55": 4}``.
        features: instruction sets that decide which kernels run, such as ``asimddp`` or ``avx512_vnni``.
        memory: MiB.
        system: name and version of the operating system.
        kernel: release.
        power_mode: such as ``nvpmodel MAXN``; empty where there is none.
        virtual: name of the hypervisor or emulator; empty on hardware.
    """

    hostname: str
    board: str
    soc: str
    architecture: str
    cores: int
    core_kinds: dict[str, int]
    features: tuple[str, ...]
    memory: int
    system: str
    kernel: str
    power_mode: str
    virtual: str


@dataclass(frozen=True)
class State:
    """What may change, at one moment.

    Attributes:
        governors: of each processor's clock, such as ``{"performance": 4}``; empty where the system does not tell.
        clocks: MHz by processor or accelerator.
        temperatures: °C by zone.
        throttled: reasons that the system gives for being slowed down now; empty when it is not, or does not tell.
        other_load: processors that other processes kept busy meanwhile; None where the system hides them.
        memory_free: MiB.
        on_battery: True, False, or None where there is no battery.
    """

    governors: dict[str, int]
    clocks: dict[str, float]
    temperatures: dict[str, float]
    throttled: tuple[str, ...]
    other_load: float | None
    memory_free: int
    on_battery: bool | None


@dataclass(frozen=True)
class Context:
    """Everything that must be the same for two results to be comparable.

    Attributes:
        device: what does not change.
        before: its state before the measured part.
        after: and after it.
        packages: versions of what was loaded.
        python: version.
    """

    device: Device
    before: State
    after: State
    packages: dict[str, str]
    python: str
