"""``edgekit data``: what it prints, how it fails, and what is left when it is ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from cli_runner import fails, run
from edgekit.converters.data import catalog, store

# A shell that starts tests in the background has them ignore Ctrl-C, and their children inherit that.
_MAIN = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from edgekit.cli.main import main; sys.exit(main())"
)


@pytest.fixture
def listed(source, monkeypatch):
    monkeypatch.setattr(catalog, "SOURCES", {source.name: source})
    return source


def test_fetch_shows_the_licence_before_and_after(listed):
    done = run("data", "fetch", "things")
    assert done.stderr.startswith("Things: nobody's.\n")
    lines = done.stdout.splitlines()
    assert lines[0] == str(store.folder(listed))
    assert lines[1].startswith("things: fetched; 2 images, 2 texts, 0.0 MB")
    assert lines[2:] == ["Licence (LICENSE.txt):", "Things: nobody's."]
    assert "already there, unchanged" in run("data", "fetch", "things").stdout
    assert "things: fetched" in run("data", "fetch", "things", "--force").stdout


def test_fetch_as_json(listed):
    report = json.loads(run("data", "fetch", "things", "--json").stdout)
    assert {key: report[key] for key in ("name", "task", "images", "texts", "fetched")} == {
        "name": "things",
        "task": "classification",
        "images": 2,
        "texts": 2,
        "fetched": True,
    }
    assert report["license"] == "Things: nobody's."
    assert report["packages"][0]["version"] == "1.0"
    assert not json.loads(run("data", "fetch", "things", "--json").stdout)["fetched"]


def test_list_says_what_is_here(listed):
    assert json.loads(run("data", "list", "--json").stdout)[0]["here"] is False
    run("data", "fetch", "things")
    row = json.loads(run("data", "list", "--json").stdout)[0]
    assert (row["name"], row["here"], row["packages"]) == ("things", True, ["npm:thing@1.0"])
    header, line = run("data", "list").stdout.splitlines()
    assert header.split() == ["name", "task", "download", "here", "holds"]
    assert line.split() == ["things", "classification", "0", "MB", "yes", "two", "things"]


def test_every_real_set_is_listed():
    lines = run("data", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(catalog.SOURCES)


def test_path_is_for_the_shell(listed):
    assert "edgekit data fetch things" in fails("data", "path", "things", code=1)
    run("data", "fetch", "things")
    assert run("data", "path", "things").stdout == f"{store.folder(listed)}\n"
    assert json.loads(run("data", "path", "things", "--json").stdout)["path"] == str(store.folder(listed))


@pytest.mark.parametrize("command", ["fetch", "path"])
def test_an_unknown_name_is_wrong_use(command):
    assert "there are emoji-fluent" in fails("data", command, "imagenet", code=2)


def test_no_network_is_one_line(registry):
    message = fails("data", "fetch", "emoji-names", code=1)
    assert "Error: emojibase-data 17.0.0: npm could not download it" in message
    assert message.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["int", "term", "hup"])
def test_a_fetch_that_is_ended_leaves_nothing(registry, tmp_path, number):
    (tmp_path / "bin" / "npm").write_text('#!/bin/sh\ntouch "$4/half.tgz" "$FAKE/started"\nexec sleep 60\n')
    child = subprocess.Popen(
        [sys.executable, "-c", _MAIN, "data", "fetch", "emoji-names"], env=os.environ, stderr=subprocess.PIPE
    )
    until = time.monotonic() + 60
    while not (registry.folder / "started").exists():
        assert child.poll() is None, child.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.05)
    assert any((tmp_path / "cache" / "data").iterdir())
    child.send_signal(number)
    child.communicate(timeout=60)
    assert child.returncode != 0
    assert list((tmp_path / "cache" / "data").iterdir()) == []
