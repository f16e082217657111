"""Where Pythons of other versions lie: on the path, and where their version managers put them."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

# Per manager: the variable that moves its folder, the folder, and where in it a version's Python lies.
_MANAGERS = (
    ("PYENV_ROOT", "~/.pyenv", "versions/{version}.*/bin/python"),
    ("UV_PYTHON_INSTALL_DIR", "~/.local/share/uv/python", "cpython-{version}.*/bin/python{version}"),
    ("CONDA_PREFIX", "~/miniconda3", "envs/*/bin/python{version}"),
)


def candidates(versions: tuple[str, ...]) -> list[str]:
    """Return commands that may start a Python of one of some versions.

    Args:
        versions: such as ``3.10``, the best first.

    Returns:
        This process's own Python first, then those on the path, then those of pyenv, uv and conda, the newest release
        of each version first. None of them was started: an entry may not exist, or be of another version.
    """
    own = sys._base_executable if hasattr(sys, "_base_executable") else sys.executable
    found = [own, *(f"python{version}" for version in versions)]
    for version in versions:
        for variable, folder, pattern in _MANAGERS:
            root = Path(os.environ.get(variable) or folder).expanduser()
            paths = root.glob(pattern.format(version=version))
            found += [str(path) for path in sorted(paths, key=_release, reverse=True)]
    return found


def _release(path: Path) -> tuple[int, ...]:
    # As numbers: as texts, 3.10.9 comes after 3.10.13.
    return tuple(int(number) for number in re.findall(r"\d+", str(path)))
