"""Boards for the tests of this folder; they skip, with the reason, where there can be none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ssh_farm

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


@pytest.fixture
def host(make_host: Callable[..., ssh_farm.Host]) -> ssh_farm.Host:
    return make_host()


@pytest.fixture(scope="session")
def parcel(tmp_path_factory: pytest.TempPathFactory) -> object:
    """What stands for a bundle where nothing reads it on the board."""
    path = tmp_path_factory.mktemp("parcel") / "parcel.edge"
    path.write_bytes(bytes(range(256)) * 4096)
    return path
