"""``edgekit specialize`` as a newcomer meets it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from cli_runner import fails, run
from edgekit.bundle.reader import open_bundle
from small_sets import picture

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(name="labels")
def _labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text("cat\ndog\n")
    return path


def test_help_shows_every_option() -> None:
    shown = run("specialize", "--help").stdout
    for option in ("--labels", "--template", "--keep-text", "--examples", "--head", "--variant", "--name", "--json"):
        assert option in shown
    assert "specialize" in run("--help").stdout


def test_a_table_and_a_report(tmp_path: Path, tiny_bundle: Path, labels: Path) -> None:
    shown = run("specialize", tiny_bundle, "--labels", labels, "-o", tmp_path / "a.edge").stdout
    assert "labels     2: cat, dog" in shown
    assert "variants   fp32; text tower left out" in shown
    assert f"edgekit eval {tmp_path / 'a.edge'} --data SET" in shown
    for number in range(8):
        home = tmp_path / "set" / ("cat", "dog")[number % 2]
        home.mkdir(parents=True, exist_ok=True)
        (home / f"{number}.png").write_bytes(picture(number))
    (tmp_path / "set" / "dog" / "9.png").write_bytes(b"no picture")
    arguments = (
        "specialize",
        tiny_bundle,
        "--labels",
        labels,
        "--examples",
        tmp_path / "set",
        "-o",
        tmp_path / "b.edge",
    )
    found = run(*arguments, "--keep-text", "--json")
    plain = json.loads(found.stdout)
    assert plain["examples"] == 8
    assert plain["labels"] == ["cat", "dog"]
    assert [trial["kind"] for trial in plain["trials"]] == ["zero-shot", "ridge", "cache"]
    assert "skipped: dog/9.png: " in found.stderr
    shown = run(*arguments).stdout
    assert "examples   8 of set, 5-fold cross-validation" in shown
    assert "  zero-shot " in shown
    assert "% right [" in shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--labels", "none.txt", "-o", "{}/a.edge"), "none.txt: cannot be read"),
        (("-o", "{}/a.edge"), "Missing option '--labels'"),
        (("--labels", "{}/labels.txt"), "Missing option '-o'"),
        (("--labels", "{}/labels.txt", "-o", "{}/a.zip"), "a bundle's name ends in .edge"),
        (("--labels", "{}/labels.txt", "-o", "{}"), "a bundle's name ends in .edge"),
        (("--labels", "{}/labels.txt", "-o", "{}/a.edge", "--template", "photo"), "exactly one"),
        (("--labels", "{}/labels.txt", "-o", "{}/a.edge", "--head", "svm"), "'svm' is not one of"),
        (("--labels", "{}/labels.txt", "-o", "{}/a.edge", "--head", "ridge"), "give --examples SET"),
        (("--labels", "{}/labels.txt", "-o", "{}/a.edge", "--examples", "none"), "none: no such file or folder"),
        (("--labels", "{}/labels.txt", "-o", "{}/a.edge", "--variant", "int4"), "has no variant 'int4'"),
        (("--labels", "{}/labels.txt", "-o", "{}/a.edge", "--name", ""), "name: '' is empty"),
    ],
    ids=lambda given: None if isinstance(given, str) else "-".join(given[-2:]).replace("{}/", "").replace("{}", "here"),
)
def test_a_wrong_argument_is_told(
    tmp_path: Path, tiny_bundle: Path, labels: Path, arguments: tuple[str, ...], told: str
) -> None:
    assert told in fails("specialize", tiny_bundle, *(argument.replace("{}", str(tmp_path)) for argument in arguments))
    assert list(tmp_path.iterdir()) == [labels]


def test_a_bundle_that_is_none_is_told(tmp_path: Path, labels: Path) -> None:
    assert "no such bundle" in fails("specialize", "none.edge", "--labels", labels, "-o", tmp_path / "a.edge")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "term"])
def test_a_stopped_run_leaves_nothing(tmp_path: Path, tiny_bundle: Path, labels: Path, number: int) -> None:
    out = tmp_path / "a.edge"
    # A text tower's prompts by the thousand, so that there is time to stop it.
    labels.write_text("\n".join(f"label {place}" for place in range(20_000)))
    command = (sys.executable, "-m", "edgekit.cli.main", "specialize", tiny_bundle, "--labels", labels, "-o", out)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as child:
        time.sleep(2.0)
        child.send_signal(number)
        _, told = child.communicate(timeout=60)
    assert child.returncode not in (0, None) or open_bundle(out).manifest.labels is not None
    assert b"Traceback" not in told
    assert {path.name for path in tmp_path.iterdir()} <= {"labels.txt", "a.edge"}
    assert out.exists() == (child.returncode == 0)
