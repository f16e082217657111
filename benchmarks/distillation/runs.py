"""Train one student as `edgekit distill` does, in its own processes, and keep what came out."""

from __future__ import annotations

import hashlib
import re
import shutil
from typing import TYPE_CHECKING

from edgekit.atomic import write_bytes
from edgekit.benchmarks.distillation.recipes import recipe_of
from edgekit.benchmarks.distillation.records import Point, Run
from edgekit.bundle import schema
from edgekit.bundle.reader import open_bundle
from edgekit.converters.children import run_child
from edgekit.converters.distill import recipe_file, work
from edgekit.converters.distill import run as distilling
from edgekit.converters.distill.data.prepare import read_made
from edgekit.converters.distill.students.plan import PLAN, StudentPlan
from edgekit.converters.distill.training.records import Outcome
from edgekit.locations import resolve

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.benchmarks.distillation.records import Arm, Setting
    from edgekit.converters.distill.recipe import Recipe

RESULT = "run.json"
OPTIONS = distilling.Options(device="cpu")
_WORKER = "edgekit.converters.distill.train_worker"
_LAUNCHER = "edgekit.converters.distill.launch_worker"
_WEIGHTS = "trained-image.safetensors"


def run(setting: Setting, arm: Arm, seed: int, folder: Path, cpu_seconds: float = 0.0) -> Run:
    """Train one student, or take what an earlier call found.

    Args:
        setting: of the study.
        arm: the student.
        seed: of everything.
        folder: of the study.
        cpu_seconds: budget, for an arm that asks for it.

    Returns:
        Its figures.

    Raises:
        EdgekitError: as `edgekit distill`.
    """
    recipe = recipe_of(setting, arm, seed, folder, cpu_seconds)
    out = place(folder, arm, seed, recipe)
    result = work.folder_of(out) / RESULT
    if not result.exists():
        home = prepare(recipe, out)
        train(home)
        write_bytes(result, schema.dumps(read(home, arm, seed)).encode())
        _tidy(home)
    return schema.loads(Run, result.read_bytes(), str(result))


def place(folder: Path, arm: Arm, seed: int, recipe: Recipe) -> Path:
    """Return the bundle that a student would become; its work folder lies beside it.

    Args:
        folder: of the study.
        arm: the student.
        seed: of everything.
        recipe: of both; its teachers are bundles.

    Returns:
        A path of its own for each student: a teacher that was trained again under its old name teaches others.

    Raises:
        InputError: a teacher cannot be opened.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", f"{arm.question} {arm.name} {arm.budget} {seed}")
    taught = [open_bundle(resolve(teacher.model)).digest for teacher in recipe.teachers]
    identity = hashlib.sha256("\n".join([recipe_file.digest(recipe), *taught]).encode()).hexdigest()
    return folder / f"{slug}-{identity[:8]}.edge"


def prepare(recipe: Recipe, out: Path) -> Path:
    """Make the untrained student, the pixels and the teacher's embeddings; return the work folder."""
    return distilling.prepare(recipe, out, OPTIONS, lambda stage: None, lambda facts: None)


def train(home: Path, processes: int = 1) -> None:
    """Train what was prepared, or go on with it."""
    if processes == 1:
        run_child(_WORKER, home, ("cpu",), lambda stage: None)
    else:
        run_child(_LAUNCHER, home, (str(processes), "cpu"), lambda stage: None)


def read(home: Path, arm: Arm, seed: int) -> Run:
    """Return the figures of a work folder whose training has ended."""
    outcome = work.read(home, work.OUTCOME, Outcome)
    made = read_made(home)
    plan = work.read(home / work.STUDENT, PLAN, StudentPlan)
    images = made.plan.images
    last = outcome.evaluations[-1].figures[0]
    return Run(
        arm=arm,
        seed=seed,
        steps=outcome.steps,
        cpu_seconds=round(outcome.cpu_seconds, 2),
        wall_seconds=round(outcome.wall_seconds, 2),
        images_per_second=round(outcome.images_per_second, 1),
        images=images.count if images else 0,
        labelled=images.labelled if images else 0,
        parameters=plan.parameters["image"],
        curve=tuple(Point(one.step, round(one.cpu_seconds, 2), one.figures[0].value) for one in outcome.evaluations),
        error=last.error,
        n=last.n,
        teacher=outcome.teacher[0].value,
        embedding_cpu=round(sum(cost.cpu_seconds for cost in made.costs), 2),
        weights=hashlib.sha256((home / work.STUDENT / _WEIGHTS).read_bytes()).hexdigest(),
    )


def _tidy(home: Path) -> None:
    for name in (work.DATA, work.CHECKPOINTS):
        shutil.rmtree(home / name, ignore_errors=True)
