"""The command: what it refuses, at once and without leaving anything, and its example."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import distill_kit as kit
import tiny_bundle as tiny
from cli_runner import fails, run
from edgekit.converters.distill import jobs, work
from edgekit.converters.distill import run as running
from edgekit.converters.distill.recipe_file import read
from edgekit.errors import ConversionError, InputError


@pytest.fixture
def place(tmp_path, tiny_bundle):
    kit.pictures(tmp_path / "pictures", each=2)
    kit.write(tmp_path / "recipe.yaml", kit.recipe(tiny_bundle, "pictures"))
    return tmp_path


def test_the_example_is_printed_as_it_is():
    shown = run("distill", "--example").output
    assert shown.startswith("# ")
    assert "teacher: starter" in shown
    assert "\n\n\n" not in shown


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.path[:] = [p for p in sys.path if p]\n"
        "from click.testing import CliRunner\nfrom edgekit.cli.main import main\n"
        "assert CliRunner().invoke(main, ['distill', '--help']).exit_code == 0\n"
        "heavy = {'torch', 'timm', 'onnx', 'yaml', 'matplotlib', 'accelerate', 'onnxruntime'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no recipe is given; 'edgekit distill --example > recipe.yaml' makes one"),
        (("recipe.yaml",), "give the bundle to write"),
        (("recipe.yaml", "-o", "a.edge", "--embed-only", "rows"), "and not both"),
        (("none.yaml", "-o", "a.edge"), "none.yaml: cannot be read"),
        (("recipe.yaml", "-o", "a.onnx"), "a bundle's name ends in .edge"),
        (("recipe.yaml", "-o", "none/a.edge"), "the folder none does not exist"),
        (("recipe.yaml", "-o", "a.edge", "--processes", "0"), "0 is not in the range x>=1"),
        (("recipe.yaml", "-o", "a.edge", "--device", "tpu"), "'tpu' is not one of"),
    ],
    ids=["nothing", "no-output", "both", "no-file", "suffix", "folder", "processes", "device"],
)
def test_wrong_use_is_refused(place, monkeypatch, arguments, message):
    monkeypatch.chdir(place)
    before = sorted(place.iterdir())
    assert message in fails("distill", *arguments)
    assert sorted(place.iterdir()) == before


def test_a_folder_that_is_in_the_way_is_not_touched(place):
    (place / "a.distill").mkdir()
    (place / "a.distill" / "thesis.txt").write_text("precious")
    for extra in ((), ("--restart",)):
        message = fails("distill", place / "recipe.yaml", "-o", place / "a.edge", *extra)
        assert "is in the way, and is no work folder" in message
    assert (place / "a.distill" / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("nothing.edge", "no such bundle"),
        ("magic:thing", "neither a bundle nor a source; a source starts with one of hf, onnx"),
        ("pictures", "is not an edgekit bundle|has no manifest.json"),
    ],
    ids=["missing", "unknown-source", "no-bundle"],
)
def test_a_teacher_that_is_none_is_refused(place, teacher, message):
    recipe = kit.write(place / "other.yaml", kit.recipe(teacher, "pictures"))
    assert re.search(message, fails("distill", recipe, "-o", place / "a.edge"))
    assert not (place / "a.edge").exists()


def test_a_kept_tower_must_be_portable(place):
    from dataclasses import replace

    def compiled(manifest):
        return replace(manifest, variants=(replace(manifest.variants[0], target="x86-vnni"),))

    tiny.build(place / "vnni.edge", change=compiled)
    recipe = kit.write(place / "other.yaml", kit.recipe("vnni.edge", "pictures"))
    message = fails("distill", recipe, "-o", place / "a.edge")
    assert "holds fp32 (onnx, fp32, x86-vnni); a tower that the student keeps must be ONNX for any processor" in message


@pytest.fixture
def opened(place):
    def run_job(name="recipe.yaml", restart=False):
        return jobs.opened(read(place / name), place / "a.distill", restart=restart, on_stage=lambda _: None)

    return run_job


def test_a_work_folder_is_recognized_and_locked(place, opened):
    with opened() as first, pytest.raises(InputError, match="another process is at work"), opened():
        pass
    with opened() as again:
        assert again.identity == first.identity
    assert len(first.identity.images) == 64
    assert first.identity.texts == ""


def test_a_run_that_was_killed_before_it_wrote_its_identity_is_taken_up(place, opened):
    folder = place / "a.distill"
    folder.mkdir()
    for name in (work.RECIPE, work.TEACHERS, work.LOCK, ".identity.json.0123456789abcdef.tmp"):
        (folder / name).write_text("")
    with opened() as job:
        assert work.read_recipe(job.folder) == job.recipe
    assert (folder / work.IDENTITY).exists()


def test_other_data_or_another_recipe_is_refused_and_restart_begins_anew(place, opened):
    with opened() as first:
        (first.folder / "checkpoints").mkdir()
    kit.write(
        place / "more.yaml",
        kit.recipe(json.loads((place / "recipe.yaml").read_text())["teacher"], "pictures", losses={"feature": 2}),
    )
    with (
        pytest.raises(InputError, match="was begun with another recipe; give another output, or --restart"),
        opened("more.yaml"),
    ):
        pass
    (place / "pictures" / "red cup" / "0.png").write_bytes((place / "pictures" / "blue car" / "1.png").read_bytes())
    with pytest.raises(InputError, match=r"was begun with another (set of training images|validation set)"), opened():
        pass
    with opened(restart=True) as again:
        assert not (again.folder / "checkpoints").exists()
        assert again.identity.recipe == first.identity.recipe


def test_another_teacher_is_refused(place, opened):
    tiny.build(place / "t.edge")
    kit.write(place / "recipe.yaml", kit.recipe("t.edge", "pictures"))
    with opened():
        pass
    tiny.build(place / "t.edge", seed=5)
    with pytest.raises(InputError, match="was begun with another teacher;"), opened():
        pass


def test_embeddings_are_only_computed_with_a_model(place, tmp_path):
    (place / "rows").mkdir()
    student = {"image": {"arch": "conv", "size": 16}, "text": "static"}
    data = {"images": "pictures", "texts": "t.txt"}
    (place / "t.txt").write_text("a\n")
    recipe = kit.write(place / "o.yaml", kit.recipe({"embeddings": "rows"}, "", data=data, student=student))
    with pytest.raises(InputError, match=r"teachers\[0\]: names embeddings; to compute them, give its model alone"):
        running.embed(read(recipe), place / "made", running.Options(), lambda _: None, lambda _: None)
    assert not (place / "made").exists()


def test_a_worker_that_is_ended_by_the_wish_to_stop_is_no_crash(place, opened, monkeypatch):
    def ended(module, folder, arguments, on_stage, on_progress):
        if arguments == ("auto",):
            signal.raise_signal(signal.SIGTERM)
        raise ConversionError(f"{module} was ended by SIGTERM")

    monkeypatch.setattr(running, "run_child", ended)
    with opened() as job:
        with pytest.raises(running.StoppedError, match="stopped; the same command continues"):
            running._train(job, running.Options(), lambda _: None, lambda _: None)
        with pytest.raises(ConversionError, match="launch_worker was ended by SIGTERM"):
            running._train(job, running.Options(processes=2), lambda _: None, lambda _: None)


def test_tidying_keeps_what_is_small(tmp_path):
    for name in work.HEAVY:
        (tmp_path / name).mkdir()
    (tmp_path / work.DRAFT).rmdir()
    (tmp_path / work.DRAFT).write_text("")
    (tmp_path / work.REPORT).write_text("")
    jobs.tidy(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [work.REPORT]
