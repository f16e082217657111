"""Environments on boards: what is downloaded for them, what is sent, and how they are made, once and whole."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from edgekit.benchmarks.remote import environment, payload, scripts, tags
from edgekit.benchmarks.remote.records import Address, Board, Facts

PI = Facts("/usr/bin/python3", (3, 11), "cpython", "aarch64", ("glibc", (2, 36)), "", "", 0.0, 0.0, 0)
BOARD = Board("b", Address("", "h"))
OWN = replace(BOARD, python=sys.executable, environment="own")
BOARDS = {
    "Raspberry Pi OS 12": PI,
    "Ubuntu 20.04": replace(PI, python=(3, 10), libc=("glibc", (2, 31))),
    "CentOS 7": replace(PI, machine="x86_64", libc=("glibc", (2, 17))),
    "32-bit": replace(PI, machine="armv7l"),
    "Alpine": replace(PI, python=(3, 12), libc=("musl", (1, 2))),
    "old Alpine": replace(PI, libc=("musl", (1, 1))),
}


@pytest.mark.parametrize("facts", BOARDS.values(), ids=BOARDS)
def test_what_the_command_downloads_fits_the_board(facts: Facts) -> None:
    words = shlex.split(environment.command(facts, ("bench", "litert")))
    assert words[:2] == ["pip", "download"]
    assert words[words.index("--python-version") + 1] == f"{facts.python[0]}.{facts.python[1]}"
    platforms = [words[i + 1] for i, word in enumerate(words) if word == "--platform"]
    assert platforms
    python = f"cp{facts.python[0]}{facts.python[1]}"
    for platform in platforms:
        assert tags.problem(f"numpy-2.2.0-{python}-{python}-{platform}.whl", facts) == ""
    assert Requirement(words[-1]).name == "edgekit"
    assert Requirement(words[-1]).extras == {"bench", "litert"}


def test_without_extras_the_plain_package_is_asked_for() -> None:
    assert environment.command(PI, ()).endswith(" -d FOLDER edgekit")


def test_the_wheel_of_another_edgekit_is_not_sent_in_place_of_this_one(tmp_path: Path) -> None:
    """`pip download` brings the published one, which may have the very name of the wheel that is made here."""
    for name in (
        "edgekit-0.1.0-py3-none-any",
        "numpy-2.2.0-cp311-cp311-manylinux2014_aarch64",
        "Pillow-11-py3-none-any",
    ):
        (tmp_path / f"{name}.whl").write_bytes(b"x")
    sent = environment.wheels_for(replace(BOARD, wheels=tmp_path), PI)
    assert [one.path.name.partition("-")[0] for one in sent] == ["Pillow", "numpy"]


def test_names_are_compared_as_pip_does_and_many_reasons_are_counted(tmp_path: Path) -> None:
    for i in range(5):
        (tmp_path / f"package{i}-1-py2-none-any.whl").write_bytes(b"x")
    for name in ("typing_extensions-4-py2-none-any", "Typing.Extensions-4.1-py3-none-any", "odd"):
        (tmp_path / f"{name}.whl").write_bytes(b"x")
    with pytest.raises(environment.BoardError) as caught:
        environment.wheels_for(replace(BOARD, wheels=tmp_path, extras=("onnx",)), PI)
    told = str(caught.value)
    assert told.startswith(f"{tmp_path}: wheels for another board: ")
    assert "ping" not in told.partition("Fill it anew")[0], "one that fits is there"
    assert re.findall(r"package\d|odd", told.partition("Fill")[0]) == ["odd", "package0", "package1"]
    assert ", and 3 more. Fill it anew: pip download" in told
    assert told.endswith("'edgekit[onnx]'")


@pytest.fixture
def wheel(tmp_path: Path) -> payload.Payload:
    with zipfile.ZipFile(tmp_path / "edgekit-1-py3-none-any.whl", "w") as archive:
        archive.writestr("edgekit_stub.py", "told = 7")
    return payload.of_file(tmp_path / "edgekit-1-py3-none-any.whl", "wheels/edgekit-1-py3-none-any.whl")


def test_each_wish_has_an_environment_of_its_own_and_the_same_wishes_share_one(wheel: payload.Payload) -> None:
    other = replace(wheel, digest="0" * 64)

    def place(board: Board, facts: Facts = PI, own: payload.Payload = wheel, *wheels: payload.Payload) -> str:
        return environment.plan(board, facts, "/x", "abc", own, wheels).place

    places = [
        place(BOARD),
        place(OWN),
        place(replace(BOARD, extras=("bench", "onnx"))),
        place(BOARD, replace(PI, executable="/opt/python")),
        place(BOARD, PI, other),
        place(BOARD, PI, wheel, other),
    ]
    assert len(set(places)) == len(places)
    assert place(BOARD, PI, wheel, wheel, other) == place(BOARD, PI, wheel, other, wheel)
    assert place(replace(BOARD, name="c", notes="n", meters=("rapl",))) == places[0]
    one, two = (environment.plan(BOARD, PI, "/x", run, wheel, ()) for run in ("abc", "def"))
    assert one.place == two.place, "another run finds it"


def run(program: str, folder: Path) -> int:
    return subprocess.run(["sh", "-c", program], cwd=folder, check=False).returncode


def made_here(folder: Path, wheel: payload.Payload) -> environment.Environment:
    here = folder / "it's" / "runs" / "abc"
    (here / "wheels").mkdir(parents=True)
    (here / wheel.name).symlink_to(wheel.path)
    return environment.plan(OWN, replace(PI, executable=sys.executable), str(folder / "it's"), "abc", wheel, ())


def test_an_environment_is_made_once_and_half_of_one_is_made_again(tmp_path: Path, wheel: payload.Payload) -> None:
    plan = made_here(tmp_path, wheel)
    here, place = tmp_path / "it's/runs/abc", Path(plan.place)
    place.mkdir(parents=True)
    (place / "half").touch()
    assert run(plan.program, here) == 0
    assert {entry.name for entry in place.iterdir()} == {"edgekit_stub.py", ".ok"}
    code = f"import sys; sys.path.insert(0, {plan.path!r}); import edgekit_stub; sys.exit(edgekit_stub.told)"
    assert subprocess.run([plan.interpreter, "-c", code], check=False).returncode == 7
    (place / "kept").touch()
    assert run(plan.program, here) == 0
    assert (place / "kept").exists(), "one that is whole is used as it is"


def test_an_environment_that_could_not_be_made_is_not_taken_for_one(tmp_path: Path, wheel: payload.Payload) -> None:
    plan = made_here(tmp_path, wheel)
    here = tmp_path / "it's/runs/abc"
    wheel.path.write_bytes(b"no zip")
    assert run(plan.program, here) != 0
    assert not (Path(plan.place) / ".ok").exists()
    assert "BadZipFile" in (here / "environment.log").read_text()


@pytest.mark.parametrize(("extras", "wanted"), [((), ""), (("bench",), "[bench]"), (("bench", "onnx"), "[bench,onnx]")])
def test_pip_is_asked_for_the_wheel_with_its_extras(
    wheel: payload.Payload, extras: tuple[str, ...], wanted: str
) -> None:
    board = replace(BOARD, extras=extras, env=(("HTTPS_PROXY", "http://a b"),))
    program = environment.plan(board, PI, "/x", "abc", wheel, ()).program
    # What pip is called with, as a shell takes it apart.
    words = shlex.split(program.partition("-m pip ")[2].partition(" && ")[0])
    assert words[-1] == f"/x/runs/abc/wheels/edgekit-1-py3-none-any.whl{wanted}"
    shown = subprocess.run(
        ["sh", "-c", program.partition("\n{")[0] + '\necho "$HTTPS_PROXY $PIP_CACHE_DIR"; env'],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown.startswith("http://a b /x/cache/pip\n")
    assert f"{scripts.RUN_VARIABLE}=abc\n" in shown


def test_more_wheels_need_more_disk(wheel: payload.Payload) -> None:
    big = replace(wheel, size=100 << 20)
    few = environment.plan(BOARD, PI, "/x", "abc", wheel, (wheel,)).needs
    assert environment.plan(BOARD, PI, "/x", "abc", wheel, (big,)).needs > few + big.size
    assert environment.plan(OWN, PI, "/x", "abc", wheel, ()).needs < few
