"""Does distillation earn its place?

``python -m edgekit.benchmarks.distillation.study --teacher emoji.edge -o study.json`` trains students of a third of the
teacher's size with `edgekit distill`'s own steps and judges them on a vendor's emoji that neither the teacher nor they
have seen: all pictures labelled, and a tenth of them; distilled, and from the labels alone at equal steps and at equal
CPU time. Then each loss alone; a training that is killed; two processes; and one student through its bundle. The same
command goes on where it was ended. It needs the sets (``edgekit data fetch NAME``) and the extras ``convert`` and
``distill``; ``python -m edgekit.benchmarks.quantization.emoji`` makes the teacher.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.atomic import write_bytes
from edgekit.benchmarks.distillation import arms, runs, tables, trials
from edgekit.benchmarks.distillation.intervals import mean
from edgekit.benchmarks.distillation.records import Setting, Study
from edgekit.benchmarks.running.refusing import not_above_zero
from edgekit.bundle import schema
from edgekit.cli.progress import Stages
from edgekit.errors import EdgekitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgekit.benchmarks.distillation.records import Arm, Run

SETS = ("emoji-noto", "emoji-twemoji", "emoji-fluent", "openmoji")
PARTS = ("questions", "losses", "trials")
_PACKAGES = ("torch", "accelerate", "onnxruntime", "numpy")
_EACH = 1  # threads of a training


def study(
    setting: Setting, folder: Path, on_stage: Callable[[str], None], *, parts: Sequence[str] = PARTS, workers: int = 2
) -> Study:
    """Train every student and compare them; what an earlier call finished is taken.

    Args:
        setting: what all share.
        folder: of the work; kept.
        on_stage: called with what is begun.
        parts: of `PARTS`.
        workers: students that are trained side by side, each by one thread.

    Returns:
        What was found.

    Raises:
        EdgekitError: as `edgekit distill`.
    """
    start = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    # Inherited by every process that trains.
    os.environ["OMP_NUM_THREADS"] = str(_EACH)
    found: list[Run] = []

    def all_of(wanted: Sequence[Arm], seeds: Sequence[int], what: str, seconds: dict[str, float] | None = None) -> None:
        on_stage(f"{what}: {len(wanted) * len(seeds)} trainings")

        def one(job: tuple[Arm, int]) -> Run:
            arm, seed = job
            return runs.run(setting, arm, seed, folder, (seconds or {}).get(arm.question, 0.0))

        with ThreadPoolExecutor(workers) as pool:
            found.extend(pool.map(one, [(arm, seed) for seed in seeds for arm in wanted]))

    if "questions" in parts:
        all_of(arms.distilled(setting), setting.seeds, "distilled")
        all_of(arms.baselines(setting), setting.seeds, "labels alone", budgets(found))
    if "losses" in parts:
        all_of(arms.losses(setting), setting.loss_seeds, "losses")
    resumed = shared = bundled = None
    if "trials" in parts:
        arm = arms.losses(setting)[0]
        known = runs.run(setting, arm, setting.loss_seeds[0], folder)
        on_stage("killed and resumed")
        resumed, alone = trials.resumed(setting, known, folder)
        on_stage("two processes")
        shared = trials.shared(setting, alone, folder)
        on_stage("the bundle of one student")
        bundled = trials.bundled(setting, arms.distilled(setting)[0], setting.seeds[0], folder)
    return Study(
        setting=replace(setting, teacher=Path(setting.teacher).name),
        runs=tuple(found),
        resumed=resumed,
        shared=shared,
        bundled=bundled,
        processor=_processor(),
        threads=_EACH,
        versions={name: version(name) for name in _PACKAGES},
        seconds=round(time.monotonic() - start, 1),
    )


def budgets(found: Sequence[Run]) -> dict[str, float]:
    """Return for each question the CPU seconds of its distilled students, the teacher's embeddings included.

    Args:
        found: the distilled students.

    Returns:
        The means over seeds, in whole seconds, at least one: budgets are part of a recipe's identity, and none is no
        recipe.
    """
    spent: dict[str, list[float]] = {}
    for run in found:
        spent.setdefault(run.arm.question, []).append(run.cpu_seconds + run.embedding_cpu)
    return {question: max(1.0, float(round(mean(seconds).value))) for question, seconds in spent.items()}


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def main() -> None:
    """Run the study, write the JSON, print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--teacher", required=True, help="bundle, trained without the held-out set")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--work", type=Path, help="folder of the work, to go on from (OUTPUT.work)")
    parser.add_argument("--held-out", choices=SETS, default=SETS[0])
    parser.add_argument("--seeds", type=int, default=len(Setting.seeds), help="how many")
    parser.add_argument("--share", type=float, default=1.0, help="of the steps, for a trial run")
    parser.add_argument("--workers", type=int, default=2, help="trainings side by side, each on one core")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    given = parser.parse_args()
    if not given.output.absolute().parent.is_dir():
        parser.error(f"-o {given.output}: the folder {given.output.parent} does not exist")
    if wrong := [part for part in given.parts.split(",") if part not in PARTS]:
        parser.error(f"--parts {wrong[0]}: there are {', '.join(PARTS)}")
    for name in ("seeds", "workers", "share"):
        for problem in not_above_zero(f"--{name}", getattr(given, name)):
            parser.error(problem)
    setting = Setting(
        teacher=str(Path(given.teacher).absolute()),
        train=tuple(name for name in SETS if name != given.held_out),
        held_out=given.held_out,
        steps=max(1, round(Setting.steps * given.share)),
        few_steps=max(1, round(Setting.few_steps * given.share)),
        loss_steps=max(1, round(Setting.loss_steps * given.share)),
        seeds=tuple(range(given.seeds)),
    )
    folder = (given.work or given.output.with_suffix(".work")).absolute()
    try:
        with Stages(sys.stderr) as stages:
            found = study(setting, folder, stages.next, parts=given.parts.split(","), workers=given.workers)
    except EdgekitError as error:
        parser.exit(1, f"{error}\n")
    write_bytes(given.output, schema.dumps(found).encode())
    sys.stdout.write(tables.report(found) + "\n")


if __name__ == "__main__":
    main()
