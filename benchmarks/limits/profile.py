"""Where the time of a tower goes, node by node, mapped back to the parts of the model."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import golden
from edgekit.benchmarks.limits import breakdown
from edgekit.benchmarks.limits.count import find, tower_of
from edgekit.benchmarks.limits.records import Profile
from edgekit.choices import list_choices
from edgekit.errors import ExecutionError, InputError
from edgekit.runtimes.protocol import SessionSettings
from edgekit.tower import artifact_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from edgekit.bundle.manifest import TowerName, TowerRecord
    from edgekit.bundle.reader import Bundle

    Inputs = Sequence[npt.NDArray[np.generic]]

_PROFILED = "onnxruntime"
_WARM = 3


def profile(
    bundle: Bundle,
    variant: str,
    tower: TowerName,
    *,
    runtime: str | None = None,
    device: str = "cpu",
    threads: int = 0,
    options: tuple[tuple[str, str], ...] = (),
    inputs: Inputs | None = None,
    runs: int = 20,
) -> Profile:
    """Run a tower under its engine's profiler.

    Args:
        bundle: opened.
        variant: id.
        tower: to run.
        runtime: name; None takes the first that opens the variant's format here.
        device: of the runtime.
        threads: of the inference; 0 is the engine's choice.
        options: settings that only this engine has.
        inputs: real inputs that the runs take turns with, each as the tower takes it; None takes the bundle's golden
            inputs, one sample each.
        runs: inferences to time, at least 1.

    Returns:
        The profile; where the engine offers no profiler, one whose `reason` says so.

    Raises:
        InputError: there is no such variant or tower, no run is asked for, or no input is given.
        RuntimeUnavailableError: nothing here opens the variant.
        ExecutionError: the engine refused the model, or failed on an input.
    """
    if runs < 1:
        raise InputError(f"a profile of {runs} runs says nothing; give 1 or more")
    record = tower_of(bundle, variant, tower)
    choice = list_choices(bundle, variant, runtime, device)[0][0]
    given = inputs if inputs is not None else golden_inputs(bundle, record, tower)
    if not given:
        raise InputError("a profile without an input says nothing; give one, or None for the bundle's golden ones")
    head: dict[str, Any] = {
        "bundle": bundle.manifest.name,
        "variant": variant,
        "runtime": f"{choice.runtime.name} {choice.version}",
        "tower": tower,
        "threads": threads,
        "batch": len(given[0]),
    }
    if choice.runtime.name != _PROFILED:
        reason = f"{choice.runtime.name}'s Python package offers no profile of its operators"
        return Profile(**head, runs=0, ms=0.0, overhead=0.0, parts=(), blocks=(), ops=(), nodes=(), reason=reason)
    settings = SessionSettings(threads=threads, options=options)
    events = _events(bundle, record, find(bundle, variant).format, choice.device, settings, given, runs)
    measured = breakdown.runs_of(events)[_WARM:]
    found = breakdown.summarise(measured, f"{bundle.where}: {record.artifact}")
    return Profile(**head, runs=len(measured), **found)


def golden_inputs(bundle: Bundle, record: TowerRecord, tower: TowerName) -> list[npt.NDArray[np.generic]]:
    """Return the golden inputs of a tower, one sample each, as many at a time as its graph takes.

    Args:
        bundle: opened.
        record: the tower.
        tower: its name; texts come without padding where the tower takes any length.

    Returns:
        At least one input.
    """
    text, (size, *rest) = bundle.manifest.text, record.input.shape
    rows: list[npt.NDArray[np.generic]]
    if tower == "text" and text is not None and text.trim_padding and not isinstance(rest[0], int):
        rows = [np.array([one.token_ids], np.int32) for one in bundle.manifest.golden.texts]
    else:
        rows = [row[None] for row in golden.inputs(bundle, tower)]
    batch = size if isinstance(size, int) else 1
    return [np.repeat(row, batch, axis=0) for row in rows]


def _events(
    bundle: Bundle,
    record: TowerRecord,
    kind: str,
    device: str,
    settings: SessionSettings,
    given: Inputs,
    runs: int,
) -> list[dict[str, Any]]:
    """Run the inputs in turn under onnxruntime's profiler; return what it wrote."""
    from edgekit.runtimes import ort

    artifact = artifact_of(bundle, record, kind)
    with tempfile.TemporaryDirectory(prefix="edgekit-profile-") as folder:
        session = ort.open_profiled(artifact, device, settings, Path(folder) / "profile")
        try:
            for turn in range(_WARM + runs):
                session.run([record.output.name], {record.input.name: given[turn % len(given)]})
        except Exception as error:
            raise ExecutionError(f"{artifact.name}: onnxruntime failed under its profiler: {error}") from error
        found: list[dict[str, Any]] = json.loads(Path(session.end_profiling()).read_text())
        return found
