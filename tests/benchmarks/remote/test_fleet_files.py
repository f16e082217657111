"""Fleet files: boards with every field, and problems that name the file, the field and the line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.remote import fleet
from edgekit.benchmarks.remote.records import Address, Board
from edgekit.errors import InputError


@pytest.fixture
def read(tmp_path):
    def make(text):
        path = tmp_path / "boards.yaml"
        path.write_text(text, encoding="utf-8")
        return fleet.read(path)

    return make


def test_the_example_shows_every_field(read, tmp_path):
    wheels = tmp_path / "wheels/aarch64"
    wheels.mkdir(parents=True)
    (wheels / "numpy-2.2.0-cp311-cp311-manylinux_2_17_aarch64.whl").write_bytes(b"")
    assert read(fleet.EXAMPLE) == (
        Board("pi5", Address("pi", "pi5.local"), notes="Raspberry Pi 5, 8 GB, active cooler"),
        Board(
            "orin",
            Address("nvidia", "10.0.0.7", 2222, "/data/edgekit"),
            "/opt/edge/bin/python",
            "own",
            meters=("ina3221", "thermal"),
            env=(("OMP_NUM_THREADS", "4"),),
        ),
        Board("radxa", Address("", "radxa"), "/usr/bin/python3.11", "new", wheels, ("bench", "litert")),
    )


ONE = "boards:\n  - name: a\n    ssh: ssh://h\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("board: []\n", "board: there is no such field; did you mean 'boards'? (line 1)"),
        ("boards: []\n", "boards: has no board (line 1)"),
        ("boards:\n  - name: a\n", "boards[0]: the field 'ssh' is missing (line 2)"),
        (f"{ONE}    pyhton: /x\n", "boards[0].pyhton: there is no such field; did you mean 'python'? (line 4)"),
        (f"{ONE}    env: {{A: 4}}\n", "boards[0].env.A: expected str, got 4 (line 4)"),
        (
            f"{ONE}    env: {{PYTHONPATH: x}}\n",
            "boards[0].env.PYTHONPATH: is set by the run itself; leave it out (line 4)",
        ),
        (f"{ONE}    env: {{'A=B': x}}\n", "boards[0].env: 'A=B' is no name of an environment variable (line 4)"),
        (f'{ONE}    env: {{A: "a\\nb"}}\n', "boards[0].env.A: holds a control character (line 4)"),
        (f"{ONE}    env: {{EDGEKIT_REMOTE_RUN: x}}\n", "boards[0].env.EDGEKIT_REMOTE_RUN: is set by the run itself"),
        (f"{ONE}    env: {{EDGEKIT_BENCH_EVENTS: x}}\n", "boards[0].env.EDGEKIT_BENCH_EVENTS: is set by the run"),
        (f"{ONE}    wheels: ~nobody-of-this-name/x\n", "~nobody-of-this-name/x holds no wheel; fill it by pip"),
        (f'{ONE}    notes: "a\\eb"\n', "boards[0].notes: hold a control character (line 4)"),
        (f"{ONE}    extras: bench\n", "boards[0].extras: expected a list"),
        (f"{ONE}    python: python3\n", "boards[0].python: 'python3' is no absolute path of an interpreter"),
        (f"{ONE}    venv: /usr/bin/py thon\n", "boards[0].venv: '/usr/bin/py thon' is no absolute path"),
        (f"{ONE}    python: /a\n    venv: /b\n", "boards[0].venv: makes a new environment, but 'python' takes the one"),
        (f"{ONE}    python: /a\n    wheels: w\n", "boards[0].wheels: are for a new environment"),
        (f"{ONE}    python: /a\n    extras: [onnx]\n", "boards[0].extras: are installed into a new environment"),
        (f"{ONE}    wheels: none\n", "none holds no wheel; fill it by pip download"),
        (f"{ONE}    extras: ['bench]; rm']\n", "boards[0].extras[0]: 'bench]; rm' is no name (line 4)"),
        (f"{ONE}    meters: [--x]\n", "boards[0].meters[0]: '--x' is no name (line 4)"),
        (f"{ONE}  - name: A\n    ssh: ssh://i\n", "boards[1].name: is that of a too (line 4)"),
        (f"{ONE}  - name: b\n    ssh: ssh://x@H/other\n", "boards[1].ssh: is that of a too (line 5)"),
        (f"{ONE}  - name: b\n    ssh: ssh://x@h\n", "boards[1].ssh: is that of a too (line 5)"),
        ("boards:\n  - name: ../x\n    ssh: ssh://h\n", "boards[0].name: '../x' cannot name files here"),
        ("boards:\n  - name: fleet\n    ssh: ssh://h\n", "boards[0].name: 'fleet' cannot name files here"),
        ("boards:\n  - name: a\n    ssh: ssh://u:p@h\n", "boards[0].ssh: ssh://user:…@: holds a password"),
        ("boards:\n  - name: a\n    ssh: h\n", "boards[0].ssh: 'h': is no address of a board"),
        ("", "is empty; begin it with 'boards:'"),
        ("boards: &a []\n", "anchors and aliases (& and *) are not used in fleet files"),
    ],
)
def test_problems_are_located(read, tmp_path, text, message):
    with pytest.raises(InputError) as caught:
        read(text)
    assert str(caught.value).startswith(str(tmp_path / "boards.yaml"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_boards_of_addresses_are_named_by_their_hosts():
    boards = fleet.from_addresses(["ssh://pi@pi5.local", "ssh://[fe80::1%e0]", "ssh://fleet", "ssh://pi5.local:2222"])
    assert [board.name for board in boards] == ["pi5.local", "fe80--1-e0", "fleet-2", "pi5.local-2"]
    assert {board.environment for board in boards} == {"new"}
    assert fleet.from_addresses(["ssh://h"], "/opt/py/bin/python")[0].environment == "own"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["ssh://a@h", "ssh://b@h"],), "ssh://b@h: is given twice"),
        ((["ssh://h"], "python3"), "python: 'python3' is no absolute path"),
        ((["ssh://h"], "", Path("/nonexistent")), "wheels: /nonexistent holds no wheel"),
        ((["h"],), "is no address"),
    ],
)
def test_addresses_that_cannot_be_used(arguments, message):
    with pytest.raises(InputError, match=message):
        fleet.from_addresses(*arguments)


def test_a_folder_of_wheels_is_beside_the_file_at_home_or_anywhere(read, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for folder in ("beside", "home/mine", "far"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a-1-py3-none-any.whl").touch()
    for written, folder in (("beside", "beside"), ("~/mine", "home/mine"), (tmp_path / "far", "far")):
        (board,) = read(f"{ONE}    wheels: {written}\n")
        assert board.wheels == tmp_path / folder
    (board,) = fleet.from_addresses(["ssh://h"], wheels=Path("~/mine"))
    assert board.wheels == tmp_path / "home/mine"


def test_notes_may_have_lines_and_extras_may_be_none(read):
    (board,) = read(f"{ONE}    notes: |\n      in the attic\n      no fan\n    extras: []\n")
    assert (board.notes, board.extras) == ("in the attic\nno fan\n", ())


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(["pi5", "PI5", "fleet", "report", "[::]", "[fe80::1]", "a" * 70, "pi5-2"]), max_size=6))
def test_boards_of_any_addresses_have_names_for_files_of_their_own(hosts):
    texts = [f"ssh://{host}:{i + 1}" for i, host in enumerate(hosts)]
    boards = fleet.from_addresses(texts)
    assert [str(board.address) for board in boards] == texts
    names = [board.name.lower() for board in boards]
    assert len(set(names)) == len(names)
    assert not {"", "fleet", "report"} & set(names)
    for name in names:
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name), "as a fleet file takes them"
