"""Wheels of what is installed here, for a board without a network: each package and all that it needs."""

from __future__ import annotations

import zipfile
from importlib.metadata import distribution
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

if TYPE_CHECKING:
    from importlib.metadata import Distribution
    from pathlib import Path


def closure(name: str, extra: str = "") -> set[str]:
    """Names of everything that a package needs, without itself."""
    found: set[str] = set()
    wanted = [(name, extra)]
    while wanted:
        package, chosen = wanted.pop()
        for text in distribution(package).requires or ():
            need = Requirement(text)
            if need.marker and not need.marker.evaluate({"extra": chosen}):
                continue
            if need.name not in found:
                found.add(need.name)
                wanted += [(need.name, more) for more in ("", *need.extras)]
    return found


def repack(name: str, folder: Path) -> Path:
    """Write an installed package as a wheel."""
    found = distribution(name)
    plain = found.metadata["Name"].replace("-", "_").replace(".", "_")
    path = folder / f"{plain}-{found.version}-{_tag(found)}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in found.files or ():
            # Scripts, which lie outside, and what was compiled at the installation.
            if ".." not in file.parts and file.suffix != ".pyc" and file.name not in ("INSTALLER", "REQUESTED"):
                archive.write(str(file.locate()), str(file))
    return path


def stub(name: str, version: str, folder: Path) -> Path:
    """Write a wheel of a package that says what it is when it is imported."""
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    entries = {
        f"{name}/__init__.py": f"raise ImportError('{name} is a stub')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for entry, text in entries.items():
            archive.writestr(entry, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{entry},,\n" for entry in (*entries, f"{info}/RECORD")))
    return path


def _tag(found: Distribution) -> str:
    tags = [line.partition(": ")[2] for line in (found.read_text("WHEEL") or "").splitlines() if line.startswith("Tag")]
    # As a file's name has it: each part once.
    return "-".join(".".join(dict.fromkeys(tag.split("-")[part] for tag in tags)) for part in range(3))
