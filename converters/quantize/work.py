"""What the search and its worker tell each other, and where each thing lies in the search's folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from edgekit.bundle import schema
from edgekit.converters.quantize.methods.records import Group, Range, TowerDecision
from edgekit.golden import TowerName

if TYPE_CHECKING:
    from pathlib import Path

Action = Literal["survey", "ranges", "evaluate"]
REQUEST, JOURNAL, CURRENT = "request.json", "journal.jsonl", "current"
FLOAT = TowerDecision({})


@dataclass(frozen=True)
class Task:
    """One thing to compute about one tower.

    Attributes:
        action: ``survey`` lists the groups and the methods; ``ranges`` calibrates; ``evaluate`` builds the tower that
            a decision describes, embeds inputs with it, and times it.
        tower: image or text.
        note: for a person.
        decision: of ``evaluate``.
        methods: of ``ranges``: the methods to calibrate every group for.
        parts: names of the inputs to embed or to calibrate on, one after the other.
        batch: rows of one inference.
        rounds: inferences to time against the float tower; 0 for none.
        keep: leave the built files in the folder.
    """

    action: Action
    tower: TowerName
    note: str
    decision: TowerDecision = field(default_factory=lambda: FLOAT)
    methods: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    batch: int = 8
    rounds: int = 0
    keep: bool = False

    @property
    def key(self) -> str:
        """Digest of everything that decides the outcome; names the journal's entry and the files of the task."""
        asked = [
            self.action,
            self.tower,
            sorted(self.decision.methods.items()),
            self.decision.smoothing,
            self.methods,
            self.parts,
            self.batch,
            self.rounds,
            self.keep,
        ]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Request:
    """A list of tasks for one worker.

    Attributes:
        kit: dotted name of the module that knows the methods.
        target: what the variant is for.
        threads: of timed inferences; 0 leaves it to the engine.
        calibration: how a range is taken.
        tasks: in order.
    """

    kit: str
    target: str
    threads: int
    calibration: str
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class MethodFacts:
    """What the search needs to know of a method.

    Attributes:
        weights: how the weights are stored, such as ``int8``.
        activations: what the inputs are multiplied as.
        needs_ranges: it wants calibrated ranges.
        kinds: kinds of groups that it can treat.
        description: one line.
    """

    weights: str
    activations: str
    needs_ranges: bool
    kinds: tuple[str, ...]
    description: str


@dataclass(frozen=True)
class Survey:
    """What a tower consists of, and what can be done to it.

    Attributes:
        groups: of weights, in order of execution.
        methods: by name.
        usual: names of the methods to try where the user names none.
    """

    groups: tuple[Group, ...]
    methods: dict[str, MethodFacts]
    usual: tuple[str, ...]


@dataclass(frozen=True)
class Ranges:
    """Calibrated ranges by tensor name."""

    ranges: dict[str, Range]


def master(folder: Path, tower: str) -> Path:
    """Return the path of a tower's float graph."""
    return folder / "float" / f"{tower}.onnx"


def inputs(folder: Path, tower: str, part: str) -> Path:
    """Return the path of a tower's inputs: uint8 (N, H, W, 3) RGB pixels, or int32 (N, L) token ids."""
    return folder / "inputs" / f"{tower}.{part}.npy"


def lengths(folder: Path, tower: str, part: str) -> Path:
    """Return the path of the number of columns that each row of ids needs: int32 (N,); absent where all are needed."""
    return folder / "inputs" / f"{tower}.{part}.lengths.npy"


def built(folder: Path, task: Task) -> Path:
    """Return the path of the graph that a task builds."""
    return folder / "built" / task.key / f"{task.tower}.onnx"


def rows(folder: Path, task: Task, part: str) -> Path:
    """Return the path of the embeddings that a task leaves: float32 (N, D)."""
    return folder / "rows" / f"{task.key}.{part}.npy"


def survey(folder: Path, tower: str) -> Path:
    """Return the path of a tower's `Survey`."""
    return folder / f"survey-{tower}.json"


def ranges(folder: Path, tower: str) -> Path:
    """Return the path of a tower's `Ranges`."""
    return folder / f"ranges-{tower}.json"


def products(folder: Path, task: Task) -> tuple[Path, ...]:
    """Return the files that a task leaves beside its entry in the journal."""
    if task.action == "survey":
        return (survey(folder, task.tower),)
    if task.action == "ranges":
        return (ranges(folder, task.tower),)
    kept = (built(folder, task),) if task.keep else ()
    return (*(rows(folder, task, part) for part in task.parts), *kept)


def read_survey(folder: Path, tower: str) -> Survey:
    """Return what a tower consists of."""
    path = survey(folder, tower)
    return schema.loads(Survey, path.read_bytes(), path.name)


def read_ranges(folder: Path, tower: str) -> dict[str, Range]:
    """Return a tower's ranges; none where nothing was calibrated."""
    path = ranges(folder, tower)
    return schema.loads(Ranges, path.read_bytes(), path.name).ranges if path.exists() else {}
