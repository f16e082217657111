"""Synthetic material to distil from, students that learn it in seconds, and a child process that trains on it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from edgekit.bundle.manifest import ImageSpec, TextSpec
from edgekit.converters.distill.batches import Bank, ImageBatch, Teacher, TextBatch, Validation
from edgekit.converters.distill.recipe import (
    DataSpec,
    ImageStudent,
    Recipe,
    StudentSpec,
    TeacherSpec,
    TextStudent,
    Training,
)
from edgekit.converters.distill.students.records import ImageTower, Student, TextTower

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.converters.distill.batches import Planes

SIDE, DIMENSION, CLASSES, TOKENS, LENGTH, PAD = 8, 6, 12, 40, 5, 0
SPEC = ImageSpec(SIDE, SIDE, "squash", 0, "bicubic", (0, 0, 0), (0.5,) * 3, (0.25,) * 3)
_TEXT = TextSpec("text/tokenizer.json", LENGTH, PAD, "none", True, ("{}",))


class Clusters:
    """Images that are noisy copies of one picture a class, and texts of one token sequence a class."""

    def __init__(
        self,
        *,
        batch: int = 16,
        labelled: float = 1.0,
        dimensions: tuple[int, ...] = (DIMENSION,),
        kept: str = "text",
        prompts: int = 1,
        noise: float = 0.6,
        has_images: bool = True,
        has_texts: bool = False,
        bad_step: int = -1,
    ) -> None:
        draw = torch.Generator().manual_seed(5)
        self.batch, self.labelled, self.kept, self.noise = batch, labelled, kept, noise
        self.has_images, self.has_texts, self.bad_step = has_images, has_texts, bad_step
        self.pictures = torch.randn(CLASSES, 3, SIDE, SIDE, generator=draw)
        self.spaces = [functional.normalize(torch.randn(CLASSES, d, generator=draw), dim=-1) for d in dimensions]
        self.words = [functional.normalize(torch.randn(TOKENS, d, generator=draw), dim=-1) for d in dimensions]
        ids = torch.randint(1, TOKENS, (CLASSES * prompts, LENGTH), generator=draw)
        texts = tuple(f"class {k}" for k in range(CLASSES))
        self.bank = Bank(texts, ids if kept != "text" else None, prompts, tuple(self.spaces))
        self.teachers = tuple(
            Teacher(f"t{i}", f"sha256:{i}", f"space-{i}", d, 20.0, -2.0, 1.0 + i, SPEC, _TEXT)
            for i, d in enumerate(dimensions)
        )

    def images(self, step: int, rank: int, world: int) -> ImageBatch | None:
        if not self.has_images:
            return None
        draw = torch.Generator().manual_seed(1000 + step)
        classes = torch.randint(0, CLASSES, (self.batch,), generator=draw)
        noise = torch.randn(self.batch, 3, SIDE, SIDE, generator=draw)
        known = torch.rand(self.batch, generator=draw) < self.labelled
        planes = self.pictures[classes] + self.noise * noise
        if step == self.bad_step:
            planes = planes * float("nan")
        mine = _part(self.batch, rank, world)
        return ImageBatch(
            None if self.kept == "image" else planes[mine],
            tuple(space[classes][mine] for space in self.spaces),
            torch.where(known, classes, -1)[mine],
        )

    def texts(self, step: int, rank: int, world: int) -> TextBatch | None:
        if not self.has_texts:
            return None
        draw = torch.Generator().manual_seed(7000 + step % 40)
        ids = torch.randint(1, TOKENS, (self.batch, LENGTH), generator=draw)[_part(self.batch, rank, world)]
        return TextBatch(ids, tuple(functional.normalize(words[ids].mean(1), dim=-1) for words in self.words))

    def validation(self) -> tuple[Validation, Planes] | None:
        if not self.has_images:
            return None
        draw = torch.Generator().manual_seed(99)
        classes = torch.arange(120) % CLASSES
        planes = self.pictures[classes] + self.noise * torch.randn(120, 3, SIDE, SIDE, generator=draw)
        targets = tuple((int(k),) if self.labelled else () for k in classes)
        rows = tuple(space[classes] for space in self.spaces)
        return Validation(120, targets, self.bank, rows, "clusters", "0" * 64), lambda start, stop: planes[start:stop]


def _part(batch: int, rank: int, world: int) -> slice:
    return slice(batch * rank // world, batch * (rank + 1) // world)


class Words(nn.Module):
    """A text tower: the mean of token vectors, through a matrix."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(TOKENS, 16)
        self.last = nn.Linear(16, dimension)

    def forward(self, ids: Tensor) -> Tensor:
        used = (ids != PAD).unsqueeze(-1).float()
        return self.last((self.vectors(ids) * used).sum(1) / used.sum(1).clamp(min=1))


def image_module(dimension: int = DIMENSION, *, norm: bool = True, dropout: float = 0.0) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=not norm),
        nn.BatchNorm2d(8) if norm else nn.Identity(),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Flatten(),
        nn.Linear(8 * (SIDE // 2) ** 2, dimension),
    )


def make_student(*, kept: str = "text", dimension: int = DIMENSION, norm: bool = True, dropout: float = 0.0) -> Student:
    torch.manual_seed(3)
    image = None if kept == "image" else ImageTower(image_module(dimension, norm=norm, dropout=dropout), SPEC)
    text = None if kept == "text" else TextTower(Words(dimension), "{}", LENGTH, PAD, "none")
    return Student(image, text)


def make_recipe(
    *,
    kept: str = "text",
    losses: dict[str, float] | None = None,
    teachers: int = 1,
    dimension: int = 0,
    has_images: bool = True,
    has_texts: bool = False,
    **training: object,
) -> Recipe:
    settings = {"steps": 40, "batch": 16, "rate": 1e-2, "evaluate": 4, "checkpoint": 1e9, **training}
    return Recipe(
        teachers=tuple(TeacherSpec(model=f"t{i}.edge", weight=1.0 + i) for i in range(teachers)),
        data=DataSpec(images=("clusters",) if has_images else (), texts=("words",) if has_texts else ()),
        student=StudentSpec(
            image=None if kept == "image" else ImageStudent(),
            text=None if kept == "text" else TextStudent(),
            dimension=dimension,
        ),
        losses=losses or {"feature": 1.0},
        training=Training(**settings),
    )


def run_here(folder: Path, options: dict[str, object]) -> None:
    """Train in this process; see `_main` for the options."""
    before = torch.get_num_threads()
    _main(folder, json.loads(json.dumps(options)))
    torch.set_num_threads(before)


def launch(folder: Path, options: dict[str, object], processes: int = 1) -> list[subprocess.Popen[bytes]]:
    """Start children that train in `folder` and find each other as those on several machines do."""
    if processes == 1:
        return [_start(folder, [], options, {})]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(processes), "LOCAL_RANK": "0"}
    return [_start(folder, [], options, {**common, "RANK": str(rank)}) for rank in range(processes)]


def launch_torchrun(folder: Path, options: dict[str, object], processes: int) -> list[subprocess.Popen[bytes]]:
    """Start torchrun with children that train in `folder`."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [_start(folder, torchrun, options, {})]


def _start(
    folder: Path, before: list[str], options: dict[str, object], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *before, str(Path(__file__)), str(folder), json.dumps(options)]
    merged = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, env=merged, stdout=log, stderr=log, start_new_session=True, cwd=folder)


def finish_all(children: list[subprocess.Popen[bytes]], folder: Path) -> None:
    try:
        codes = [child.wait(timeout=300) for child in children]
    finally:
        for child in children:
            child.kill()
    assert codes == [0] * len(children), (folder / "log").read_text()


def _main(folder: Path, options: dict[str, object]) -> None:
    """Train; ``pause_at`` writes a file ``paused`` at that step and waits to be killed."""
    torch.set_num_threads(1)
    from edgekit.converters.distill.training.train import train

    pause = int(options.pop("pause_at", -1))
    material = Clusters(**options.pop("material", {}))
    student = make_student(**options.pop("student", {}))
    fetch = material.images

    def images(step: int, rank: int, world: int) -> ImageBatch | None:
        if step == pause:
            (folder / f"paused-{rank}").touch()
            while True:
                time.sleep(1)
        return fetch(step, rank, world)

    material.images = images
    train(make_recipe(**options), student, material, folder, lambda progress: None)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), json.loads(sys.argv[2]))
