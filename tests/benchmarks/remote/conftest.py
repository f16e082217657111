"""Boards for the tests of this folder; they skip, with the reason, where there can be none."""

from __future__ import annotations

import functools
import shutil
from typing import TYPE_CHECKING

import pytest

import remote_stand_in as stand_in
import ssh_farm
from edgekit.benchmarks.remote import scripts, wheel
from edgekit.benchmarks.remote.link import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def _boards_work() -> None:
    reason = ssh_farm.missing()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def make_host(_boards_work: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ssh_farm.Host]]:
    """Make a board that is gone after the test, however it ends."""
    made: list[ssh_farm.Host] = []

    def make(disk: str = "", mounts: str = "", config: str = "") -> ssh_farm.Host:
        made.append(ssh_farm.Host(tmp_path_factory.mktemp("board"), disk, mounts, config))
        return made[-1]

    yield make
    for host in made:
        host.close()


@pytest.fixture(scope="module")
def one_wheel() -> Iterator[None]:
    """Let edgekit's wheel be packed once: somebody may edit edgekit while a test runs."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(wheel, "build", functools.cache(wheel.build))
        yield


@pytest.fixture(scope="module")
def shared_host(_boards_work: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ssh_farm.Host]:
    """One board for all tests of a file that leave it as a board."""
    host = ssh_farm.Host(tmp_path_factory.mktemp("shared"))
    yield host
    host.close()


@pytest.fixture(scope="module")
def shared_link(shared_host: ssh_farm.Host) -> Iterator[Link]:
    link = Link(shared_host.address(), stand_in.quick(shared_host.ssh), lambda: None)
    link.open()
    yield link
    link.close()


@pytest.fixture
def link(shared_host: ssh_farm.Host, shared_link: Link) -> Iterator[Link]:
    """A link to the shared board, whose home is empty and whose processes are ended afterwards."""
    yield shared_link
    # First those that would write into the folders that are removed.
    shared_host.inside(
        f"for p in /proc/[0-9]*; do case $(readlink $p/cwd) in {shared_host.home}/*) kill -9 ${{p##*/}};; esac; done"
    )
    shared_link.run(scripts.STOP, ["", ""])
    for entry in shared_host.home.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


@pytest.fixture
def host(make_host: Callable[..., ssh_farm.Host]) -> ssh_farm.Host:
    return make_host()


@pytest.fixture(scope="session")
def parcel(tmp_path_factory: pytest.TempPathFactory) -> object:
    """What stands for a bundle where nothing reads it on the board."""
    path = tmp_path_factory.mktemp("parcel") / "parcel.edge"
    path.write_bytes(bytes(range(256)) * 4096)
    return path
