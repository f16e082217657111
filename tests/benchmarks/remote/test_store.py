"""Files on their way to a board and back: gone on with, checked by their digests, and never half of one here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import bench_results
import remote_stand_in as stand_in
from edgekit.benchmarks.remote import collecting, payload, scripts, store
from edgekit.benchmarks.remote.link import Link
from edgekit.benchmarks.remote.ssh_errors import BoardError
from edgekit.benchmarks.results import files
from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.benchmarks.remote.payload import Payload
    from ssh_farm import Host

RUN = "aaaaaaaaaaaa"
CONTENT = bytes(range(256)) * 4096


@pytest.fixture
def host(shared_host: Host, link: Link) -> Host:
    taken(shared_host, link)
    return shared_host


def taken(host: Host, link: Link) -> None:
    base = str(host.home / "work")
    link.run(scripts.FOLDER, [base])
    link.run(scripts.LOCK, [base, RUN, "key"])


def described(folder: Path, content: bytes = CONTENT) -> Payload:
    (folder / "sent").write_bytes(content)
    return payload.of_file(folder / "sent", "bundle/sent")


@pytest.mark.parametrize(
    "there",
    [b"", CONTENT[:1000], CONTENT[:-1], CONTENT, b"?" + CONTENT[1:1000], b"?" * len(CONTENT), CONTENT + b"more"],
    ids=["nothing", "a part", "all but one byte", "all", "another part", "as much of another", "too much"],
)
def test_whatever_a_board_has_of_a_file_it_has_the_whole_afterwards(
    host: Host, link: Link, tmp_path: Path, there: bytes
) -> None:
    base, sent, told = host.home / "work", described(tmp_path), list[int]()
    part = base / "objects" / f"{sent.digest}.part"
    part.write_bytes(there)
    have = store.present(link, str(base), [sent, sent])
    assert have == {sent.digest: len(there)}
    store.send(link, str(base), sent, have[sent.digest], told.append)
    assert (base / "objects" / sent.digest).read_bytes() == CONTENT
    assert not part.exists()
    assert told[-1] == len(CONTENT)
    if CONTENT.startswith(there):
        assert min(told) >= len(there), "what is there is not sent again"
    assert store.present(link, str(base), [sent]) == {sent.digest: store.WHOLE}
    store.place(link, str(base), RUN, sent, "")
    assert (base / "runs" / RUN / "bundle/sent").read_bytes() == CONTENT


def test_an_empty_file_arrives_too(host: Host, link: Link, tmp_path: Path) -> None:
    base, sent = host.home / "work", described(tmp_path, b"")
    store.send(link, str(base), sent, 0, lambda n: None)
    assert (base / "objects" / sent.digest).read_bytes() == b""


def test_a_file_that_changed_here_is_told_by_its_name_and_is_not_left_there(
    host: Host, link: Link, tmp_path: Path
) -> None:
    sent = described(tmp_path)
    sent.path.write_bytes(b"?" + CONTENT[1:])
    with pytest.raises(BoardError, match=r"sent: arrived 3 times with another SHA-256 than was sent; is it changing\?"):
        store.send(link, str(host.home / "work"), sent, 0, lambda n: None)
    assert list((host.home / "work/objects").iterdir()) == []


def test_a_disk_that_is_full_while_files_arrive_is_told(make_host: Callable[..., Host], tmp_path: Path) -> None:
    host = make_host(disk="600k")
    link = Link(host.address(), stand_in.quick(host.ssh), lambda: None)
    link.open()
    taken(host, link)
    try:
        with pytest.raises(BoardError, match="work: the board's disk is full; make room") as caught:
            store.send(link, str(host.home / "work"), described(tmp_path), 0, lambda n: None)
    finally:
        link.close()
    assert caught.value.ending == "disk-full"


def test_results_come_back_as_they_are_in_the_order_of_their_names(host: Host, link: Link) -> None:
    results = host.home / f"work/runs/{RUN}/results"
    contents = {"b $(id).json": b"\0\n\xff", "a.json": b"", "ä'\".json": CONTENT[:70000]}
    for name, content in contents.items():
        (results / name).write_bytes(content)
    (results / "notes.txt").write_bytes(b"no result")
    (results / "folder.json").mkdir()
    found = collecting.collect(link, str(host.home / "work"), RUN)
    assert found == sorted(contents.items())
    assert collecting.collect(link, str(host.home / "work"), "bbbbbbbbbbbb") == [], "a run that never began"


@pytest.mark.parametrize("name", [b"\xff.json", b"\x1b[2Jx.json", "a\u2028b.json".encode(), b"x" * 230 + b".json"])
def test_a_result_whose_name_no_file_here_may_have_is_refused(host: Host, link: Link, name: bytes) -> None:
    with open(bytes(host.home / f"work/runs/{RUN}/results") + b"/" + name, "wb"):  # noqa: PTH123
        pass
    with pytest.raises(BoardError, match="the board gives a result a name that no file here may have") as caught:
        collecting.collect(link, str(host.home / "work"), RUN)
    assert str(caught.value).isprintable()


def test_a_result_that_changes_while_it_is_fetched_is_not_taken(host: Host, link: Link) -> None:
    (host.home / f"work/runs/{RUN}/results/moving.json").symlink_to("/proc/uptime")
    with pytest.raises(BoardError, match=r"moving\.json: arrived 3 times with another SHA-256 than it has there"):
        collecting.collect(link, str(host.home / "work"), RUN)


def result(verdict: tuple[str, ...] = ()) -> bytes:
    return files.dumps(bench_results.result(reasons=verdict)).encode()


def test_one_result_has_the_boards_name_and_several_have_numbers(tmp_path: Path) -> None:
    good, bad = result(), result(("energy: hot",))
    both = json.dumps({files.SEVERAL: [json.loads(good), json.loads(bad)]}).encode()
    assert collecting.store([("x.json", good)], "pi", tmp_path) == ((tmp_path / "pi.json",), ("VALID",))
    paths, verdicts = collecting.store([("x.json", bad), ("y.json", both)], "pi", tmp_path)
    assert paths == (tmp_path / "pi-1.json", tmp_path / "pi-2.json")
    assert verdicts == ("INVALID", "VALID", "INVALID")
    assert [path.read_bytes() for path in paths] == [bad, both]


@pytest.mark.parametrize("broken", [b"", b"{}", b"[1]", result()[:-9], b"\xff\xfe"])
def test_of_results_of_which_one_is_broken_none_is_written(tmp_path: Path, broken: bytes) -> None:
    with pytest.raises(InputError, match=r"pi: second\.json"):
        collecting.store([("first.json", result()), ("second.json", broken)], "pi", tmp_path)
    assert list(tmp_path.iterdir()) == []
