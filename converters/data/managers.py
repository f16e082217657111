"""Download one package with the package manager it belongs to, as any user would on the command line."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import FetchError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edgekit.converters.data.records import ManagerName, Package

_CHUNK = 1 << 20
_SHOWN = 3
# A wheel is only a container of photos here; naming one build makes every machine download the same file.
_WHEEL = ("--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--platform", "manylinux_2_28_x86_64")


@dataclass(frozen=True)
class Manager:
    """How a package manager is called.

    Attributes:
        tool: its program, for messages.
        install: what to do where it is missing.
        hint: what else may be wrong when a download fails.
        present: whether it can be called here.
        command: the command that downloads a package's archive into a folder; run in that folder.
    """

    tool: str
    install: str
    hint: str
    present: Callable[[], bool]
    command: Callable[[Package, Path], list[str]]


def _npm(package: Package, folder: Path) -> list[str]:
    options = ["--ignore-scripts", "--silent", "--loglevel=error", "--fetch-retries=1"]
    return ["npm", "pack", f"{package.name}@{package.version}", "--pack-destination", str(folder), *options]


def _apt(package: Package, _: Path) -> list[str]:
    return ["apt-get", "-q", "download", f"{package.name}={package.version}"]


def _pip(package: Package, folder: Path) -> list[str]:
    options = ["--quiet", "--disable-pip-version-check", "--retries", "1", "--no-deps", "--only-binary=:all:", *_WHEEL]
    return [sys.executable, "-m", "pip", "download", "--dest", str(folder), *options, _exactly(package)]


def _exactly(package: Package) -> str:
    return f"{package.name}=={package.version}"


MANAGERS: Mapping[ManagerName, Manager] = {
    "apt": Manager(
        tool="apt-get",
        install="this set needs a Debian system; fetch it there and copy its folder",
        hint="where the list of packages is old or empty, run: sudo apt-get update",
        present=lambda: shutil.which("apt-get") is not None and shutil.which("dpkg-deb") is not None,
        command=_apt,
    ),
    "npm": Manager(
        tool="npm",
        install="install Node.js, which brings it (on Debian: sudo apt-get install npm)",
        hint="try: npm ping",
        present=lambda: shutil.which("npm") is not None,
        command=_npm,
    ),
    "pip": Manager(
        tool="pip",
        install="run: python -m ensurepip",
        hint="try: python -m pip index versions numpy",
        present=lambda: importlib.util.find_spec("pip") is not None,
        command=_pip,
    ),
}


def require(name: ManagerName) -> None:
    """Check that a package manager can be called here.

    Args:
        name: which one.

    Raises:
        MissingDependencyError: it is not installed; the message says what to install.
    """
    manager = MANAGERS[name]
    if not manager.present():
        raise MissingDependencyError(f"{manager.tool} is not installed: {manager.install}")


def download(package: Package, folder: Path) -> Path:
    """Download a package's archive and check its digest.

    Args:
        package: which one.
        folder: an empty folder to put it into.

    Returns:
        The archive, byte for byte what `package` declares.

    Raises:
        MissingDependencyError: the package manager is not installed.
        FetchError: it failed, or delivered another file; the message has the manager's own words.
    """
    require(package.manager)
    manager = MANAGERS[package.manager]
    done = subprocess.run(
        manager.command(package, folder),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        check=False,
    )
    files = sorted(path for path in folder.iterdir() if path.is_file())
    if done.returncode or len(files) != 1:
        said = _said(done.stderr) or _said(done.stdout) or f"exit code {done.returncode}"
        raise FetchError(
            f"{package.name} {package.version}: {manager.tool} could not download it ({said}); "
            f"is this machine online? {manager.hint}"
        )
    found = sha256(files[0])
    if found != package.sha256:
        raise FetchError(
            f"{package.name} {package.version}: {files[0].name} has the SHA-256 {found}, not the expected "
            f"{package.sha256}; the mirror it came from serves something else, and nothing of it was used"
        )
    return files[0]


def sha256(path: Path) -> str:
    """Return a file's SHA-256 as 64 lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _said(output: bytes) -> str:
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines()]
    return " / ".join([line for line in lines if line][-_SHOWN:])
