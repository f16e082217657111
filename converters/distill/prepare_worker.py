"""The child that makes the untrained student, the pixels and the teachers' embeddings."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from edgekit.converters import children
from edgekit.converters.distill import lifeline, work
from edgekit.converters.distill.data.store_records import Cost
from edgekit.converters.distill.throughput import Pace


def main(folder: Path, store: str) -> None:
    """Prepare what the work folder's recipe asks for, or what is still missing of it.

    Args:
        folder: the work folder, holding the recipe and the teachers' paths.
        store: folder that the embeddings go to in place of the recipe's store; empty for that.
    """
    lifeline.end_with_parent()
    from edgekit.converters.distill.data import material, prepare
    from edgekit.converters.distill.students import create
    from edgekit.converters.distill.students import open as opening

    recipe = work.read_recipe(folder)
    if store:
        recipe = replace(recipe, data=replace(recipe.data, store=store))
    teachers = work.read(folder, work.TEACHERS, work.Paths).bundles
    student = folder / work.STUDENT
    if not (student / "student.json").exists():
        children.stage("making the student")
        create.create(recipe, teachers[0], student)
    untrained = opening.open_student(student, trained=False)
    material.prepare(recipe, teachers, untrained, folder, children.stage, Pace(children.progress))
    work.write(folder, work.PREPARED, total(prepare.read_made(folder).costs))


def total(costs: tuple[Cost, ...]) -> Cost:
    """Add up what the embeddings of each teacher cost."""
    return Cost(
        items=sum(cost.items for cost in costs),
        seconds=sum(cost.seconds for cost in costs),
        cpu_seconds=sum(cost.cpu_seconds for cost in costs),
        size=sum(cost.size for cost in costs),
    )


if __name__ == "__main__":
    children.report(lambda: main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""))
