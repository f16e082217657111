"""Which interpreter of a board is taken, and what it may answer."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgekit.benchmarks.remote import facts
from edgekit.benchmarks.remote.records import Board
from edgekit.benchmarks.remote.ssh_errors import BoardError
from kernel_tree import program
from ssh_farm import Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit.benchmarks.remote.link import Link


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("path")


@pytest.fixture(scope="module")
def shared_host(_boards_work: None, tmp_path_factory: pytest.TempPathFactory, path: Path) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("board"), config=f"SetEnv PATH={path}")
    yield host
    host.close()


@pytest.fixture
def host(shared_host: Host) -> Host:
    return shared_host


@pytest.fixture
def tools(path: Path) -> Iterator[Path]:
    """The only folder in the board's search path."""
    for tool in ("sh", "cat", "df", "grep", "sleep"):
        (path / tool).symlink_to(shutil.which(tool) or tool)
    yield path
    for entry in path.iterdir():
        entry.unlink()


def python(tools: Path, name: str, version: str = "", real: bool = False, prints: str = "") -> Path:
    """An interpreter that says its version, and is otherwise this one, or prints something else."""
    rest = f'exec {sys.executable} "$@"' if real else f"{prints or 'exit 1'}"
    told = f'case "$*" in *version_info*print*|*"print(*sys"*) echo {version}; exit ;; esac\n' if version else ""
    return program(tools / name, told + rest)


def board(host: Host, path: Path | None = None, environment: str = "own") -> Board:
    return Board("b", host.address(), str(path or ""), environment)  # type: ignore[arg-type]


def test_the_first_that_is_new_enough_and_runs_is_taken(host: Host, tools: Path, link: Link) -> None:
    python(tools, "python3.13")
    python(tools, "python3.12", "2 7")
    python(tools, "python3.11", "3 11", real=True)
    python(tools, "python3", "3 14", real=True)
    found = facts.inspect(link, board(host), str(host.home))
    assert found.executable == str(tools / "python3.11")
    # The rest is what that interpreter itself says.
    assert found.python == sys.version_info[:2]
    assert (found.implementation, found.machine) == (sys.implementation.name, platform.machine())
    assert found.libc[0] in ("glibc", "musl")
    assert found.boot_id == (host.folder / "boot_id").read_text().strip()
    assert found.free > 1 << 20
    assert abs(found.offset) <= found.offset_error + 0.1


@pytest.mark.parametrize(
    ("versions", "message"),
    [
        ({}, "no interpreter was found there; edgekit needs Python 3.10 or later: install one, or name it"),
        ({"python3": "3 9"}, "python3 there is Python 3.9; edgekit needs Python 3.10 or later: install one"),
        ({"python3.13": "three", "python3": "2 7"}, "python3 there is Python 2.7; edgekit needs"),
    ],
)
def test_without_one_that_is_new_enough_what_is_there_is_told(
    host: Host, tools: Path, link: Link, versions: dict[str, str], message: str
) -> None:
    for name, version in versions.items():
        python(tools, name, version)
    with pytest.raises(BoardError, match=message) as caught:
        facts.inspect(link, board(host), str(host.home))
    assert caught.value.ending == "refused"


@pytest.mark.parametrize(
    ("prints", "told"),
    [
        ("echo", "b'"),
        ("echo hello", "b'hello"),
        ("echo '{}'", "b'{}"),
        ("""echo '{"now": "late"}'""", "late"),
        ("echo; echo Segmentation fault >&2; exit 139", "Segmentation fault"),
        ("exit 3", "exit code 3"),
    ],
)
def test_an_interpreter_that_answers_something_else_is_refused(
    host: Host, tools: Path, link: Link, prints: str, told: str
) -> None:
    path = python(tools, "odd", "3 11", prints=prints)
    with pytest.raises(BoardError, match="odd there does not work as Python: ") as caught:
        facts.inspect(link, board(host, path), str(host.home))
    assert caught.value.ending == "refused"
    assert told in str(caught.value)


def test_what_start_up_files_print_is_passed_over(host: Host, tools: Path, link: Link) -> None:
    path = program(tools / "chatty", f'echo 3 11; echo welcome; exec {sys.executable} "$@"')
    found = facts.inspect(link, board(host, path), str(host.home))
    assert found.python == sys.version_info[:2]


def test_an_interpreter_without_venv_can_only_be_used_as_it_is(host: Host, tools: Path, link: Link) -> None:
    without = f'exec {sys.executable} -I -c "import sys; sys.modules[\'ensurepip\'] = None; exec(sys.argv[1])" "$3"'
    path = python(tools, "bare", "3 11", prints=without)
    assert facts.inspect(link, board(host, path), str(host.home)).executable == str(path)
    with pytest.raises(BoardError, match=r"cannot make an environment there; install .*python3-venv.*--on-python"):
        facts.inspect(link, replace(board(host, path), environment="new"), str(host.home))


def test_a_folder_that_is_not_there_has_no_room(host: Host, tools: Path, link: Link) -> None:
    assert facts.state(link, f"{host.home}/none") == ((host.folder / "boot_id").read_text().strip(), 0)
