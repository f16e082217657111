"""The weights and the record that a training leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.atomic import write_bytes
from edgekit.bundle.schema import dumps, loads
from edgekit.converters.distill.training.records import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from edgekit.converters.distill.training.learner import Learner
    from edgekit.converters.distill.training.records import Delivered
    from edgekit.converters.distill.training.state import State

_TOWERS = ("image", "text")


def snapshot(learner: Learner, step: int) -> dict[str, Any]:
    """Return the weights as they would be delivered now.

    Args:
        learner: at inference, with the running averages of all processes.
        step: steps made.

    Returns:
        ``image`` and ``text``: each new tower's state after `students.finish`, on the CPU, None for one that is kept;
        ``scale`` and ``bias`` of the logits; ``step``.
    """
    return {
        "image": _finished(learner.image),
        "text": _finished(learner.text),
        "scale": float(learner.log_scale.detach().exp()),
        "bias": float(learner.bias.detach()),
        "step": step,
    }


def chosen(state: State, last: dict[str, Any]) -> tuple[Delivered, str, dict[str, Any]]:
    """Choose between the last weights and those of the best evaluation.

    The last ones, which the schedule led to, unless a plateau ended the training before its end, or their figure is
    below the best one's by more than the standard error of the paired difference. Evaluations before the towers were
    rounded do not count once they are.

    Args:
        state: after the last evaluation.
        last: snapshot of the last weights.

    Returns:
        Which, why, and the snapshot.
    """
    if state.best is None:
        return "last", "there was nothing to judge on", last
    if state.best["step"] == last["step"]:
        return "last", "the last evaluation is the best one", last
    if state.ended:
        return "best", "a plateau ended the training; these weights had the best figure", state.best
    if state.track.fell():
        return "best", "the last figure is below the best one by more than its standard error", state.best
    return "last", "the last figure is within a standard error of the best one", last


def write_towers(folder: Path, found: dict[str, Any]) -> None:
    """Write ``student/trained-image.safetensors`` and ``trained-text.safetensors``.

    Args:
        folder: the work folder.
        found: of `snapshot`.
    """
    from safetensors.torch import save

    (folder / "student").mkdir(parents=True, exist_ok=True)
    for tower in _TOWERS:
        if found[tower] is not None:
            write_bytes(folder / "student" / f"trained-{tower}.safetensors", save(found[tower]))


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Write ``outcome.json``; the towers must be there, since it says that all is done."""
    write_bytes(folder / "outcome.json", dumps(outcome).encode())


def read_outcome(folder: Path) -> Outcome | None:
    """Read ``outcome.json``.

    Args:
        folder: the work folder.

    Returns:
        None where there is none.

    Raises:
        BundleError: the file is damaged.
    """
    path = folder / "outcome.json"
    return loads(Outcome, path.read_bytes(), str(path)) if path.exists() else None


def _finished(module: nn.Module | None) -> dict[str, Any] | None:
    from edgekit.converters.distill.students.finish import finish

    if module is None:
        return None
    # Copies, since tensors that share memory cannot be written.
    return {name: value.detach().cpu().clone().contiguous() for name, value in finish(module).state_dict().items()}
