"""Package managers are called as on the command line, and what they deliver is checked."""

from __future__ import annotations

import dataclasses
import hashlib
import sys

import pytest

from edgekit.converters.data import managers
from edgekit.converters.data.managers import MANAGERS, download, require, sha256
from edgekit.errors import FetchError, MissingDependencyError

MEMBERS = [("package/a.txt", b"a")]


@pytest.fixture
def drop(tmp_path):
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("manager", "name", "call"),
    [
        ("npm", "@scope/thing", "npm pack @scope/thing@1.0 --pack-destination"),
        ("apt", "thing", "apt-get -q download thing=1.0"),
    ],
    ids=["npm", "apt"],
)
def test_a_package_is_downloaded_at_its_exact_version(registry, drop, manager, name, call):
    package = registry.add(manager, MEMBERS, name=name)
    assert sha256(download(package, drop)) == package.sha256
    assert registry.calls()[0].startswith(call)


def test_pip_delivers_the_same_wheel_on_every_machine(registry, drop):
    package = registry.add("pip", [*MEMBERS, *metadata("thing", "1.0")])
    assert download(package, drop).name == "thing-1.0-py3-none-any.whl"
    command = MANAGERS["pip"].command(package, drop)
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "--python-version", "thing==1.0"} <= set(command)


def metadata(name, version):
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    folder = f"{name}-{version}.dist-info"
    wheel = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    return [(f"{folder}/METADATA", text), (f"{folder}/WHEEL", wheel), (f"{folder}/RECORD", b"")]


@pytest.mark.parametrize("manager", ["npm", "apt", "pip"])
def test_no_network_is_one_clear_error(registry, drop, manager):
    package = registry.add(manager, MEMBERS)
    for archive in registry.folder.glob("*thing*"):
        archive.unlink()
    with pytest.raises(FetchError, match=r"thing 1\.0: .* could not download it .*online") as caught:
        download(package, drop)
    assert "\n" not in str(caught.value)


def test_the_managers_own_words_are_in_the_error(registry, drop):
    package = dataclasses.replace(registry.add("npm", MEMBERS), version="2.0")
    with pytest.raises(FetchError, match=r"npm error code ENOTFOUND / npm error network could not be reached"):
        download(package, drop)


def test_a_manager_that_succeeds_without_a_file_has_failed(registry, drop, tmp_path):
    package = registry.add("npm", MEMBERS)
    (tmp_path / "bin" / "npm").write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(FetchError, match="exit code 0"):
        download(package, drop)


@pytest.mark.parametrize("manager", ["npm", "apt"])
def test_another_digest_is_refused(registry, drop, manager):
    package = registry.add(manager, MEMBERS)
    other = dataclasses.replace(package, sha256=hashlib.sha256(b"other").hexdigest())
    with pytest.raises(FetchError, match=rf"{package.sha256}, not the expected {other.sha256}"):
        download(other, drop)


@pytest.mark.parametrize(
    ("manager", "hint"), [("npm", "Node.js"), ("apt", "Debian"), ("pip", "ensurepip")], ids=["npm", "apt", "pip"]
)
def test_a_missing_manager_is_one_line_that_says_what_to_install(monkeypatch, manager, hint):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(managers.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=hint) as caught:
        require(manager)
    assert "\n" not in str(caught.value)


def test_a_manager_that_is_there_is_accepted(registry):
    for name in ("npm", "pip"):
        require(name)
    assert registry.calls() == []


@pytest.mark.parametrize("size", [0, 1, (1 << 20) + 1])
def test_a_digest_is_that_of_the_whole_file(tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    assert sha256(path) == hashlib.sha256(b"x" * size).hexdigest()
