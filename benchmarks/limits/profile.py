"""Where the time of a tower goes, node by node, mapped back to the parts of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import ExecutionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from edgekit.benchmarks.limits.records import Profile
    from edgekit.bundle.manifest import TowerName
    from edgekit.bundle.reader import Bundle


def profile(
    bundle: Bundle,
    variant: str,
    tower: TowerName,
    *,
    runtime: str | None = None,
    device: str = "cpu",
    threads: int = 0,
    options: tuple[tuple[str, str], ...] = (),
    inputs: Sequence[npt.NDArray[np.generic]] | None = None,
    runs: int = 20,
) -> Profile:
    """Run a tower under its engine's profiler.

    Args:
        bundle: opened.
        variant: id.
        tower: to run.
        runtime: name; None takes the first that opens the variant's format.
        device: of the runtime.
        threads: of the inference; 0 is the engine's choice.
        options: settings that only this engine has.
        inputs: real inputs that the runs take turns with, each as the tower takes it; None takes the bundle's golden
            inputs, one sample each.
        runs: inferences to time.

    Returns:
        The profile; where the engine offers no profiler, one whose `reason` says so.

    Raises:
        InputError: there is no such variant or tower.
        ExecutionError: the engine refused the model.
    """
    raise ExecutionError(f"{bundle.where}: {variant}: {tower} tower: there is no profile")
