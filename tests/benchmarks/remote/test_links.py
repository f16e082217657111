"""The link itself: words and bytes arrive as they are, and a cut is told from a failure."""

from __future__ import annotations

import tempfile

import pytest

import remote_stand_in as stand_in
from edgekit.benchmarks.remote.link import Link
from edgekit.benchmarks.remote.ssh_errors import LinkDownError, ScriptError


@pytest.fixture(params=["shared connection", "a connection for each command"])
def link(request, host, tmp_path, monkeypatch):
    if request.param != "shared connection":
        # No socket's path can be this long.
        folder = tmp_path / ("long" * 25)
        folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
    found = Link(host.address(), stand_in.quick(host.ssh), lambda: None)
    yield found
    found.close()


def test_words_bytes_and_codes_cross_as_they_are(link, host, tmp_path):
    host.home.joinpath(".bashrc").write_text("echo noise; printf 'without an end'\n")
    link.open()
    words = ["$HOME `id` \"'\\", "", "a\nb", "-n", "ü *"]
    assert link.run('printf "%s|" "$@"', words) == "|".join([*words, ""]).encode()
    every = bytes(range(256)) * 64
    (tmp_path / "sent").write_bytes(every)
    seen = []
    target = str(host.home / "it's here")
    link.send(tmp_path / "sent", 0, target, seen.append)
    link.send(tmp_path / "sent", len(every) - 3, target, seen.append)
    assert link.run('cat "$1"', [target]) == every + every[-3:]
    assert all(count <= len(every) for count in seen)
    assert link.run("cat") == b"", "a script's commands have no input of ours"
    with pytest.raises(ScriptError, match="no such luck") as caught:
        link.run("echo printed; echo no such luck >&2; exit 7")
    assert (caught.value.code, caught.value.output) == (7, b"printed\n")
    with pytest.raises(ScriptError, match="nonexistent"):
        link.send(tmp_path / "sent", 0, "/nonexistent/x", seen.append)


def test_a_server_that_goes_away_is_a_link_that_is_down(link, host):
    link.open()
    host.stop()
    with pytest.raises(LinkDownError):
        link.run("sleep 30")
    with pytest.raises(LinkDownError):
        link.open()
    host.start()
    link.open()
    assert link.run("echo back") == b"back\n"


def test_what_is_interrupted_leaves_no_client_behind(host, tmp_path):
    class EnoughError(Exception):
        pass

    def enough():
        if (host.home / "begun").exists():
            raise EnoughError

    link = Link(host.address(), stand_in.quick(host.ssh), enough)
    link.open()
    with pytest.raises(EnoughError):
        link.run('touch "$1"; sleep 60', [str(host.home / "begun")])
    link.close()
    assert stand_in.wait_for(lambda: "sshd: root" not in host.inside("ps axww"))
