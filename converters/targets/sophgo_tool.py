"""Sophgo's programs, run from inside the toolchain ``sophgo`` with the environment that they need.

This file is read where edgekit is not installed: it imports nothing of edgekit.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Where this process prints, and how many of a program's last lines its failure repeats.
_LOG, _SHOWN = "tool.log", 6
# Ubuntu's C library inside the package: beside any other version's loader the tools crash, and the host's own is newer.
_CLASHING = ("libc.so.6", "libm.so.6", "libpthread.so.0")
# What the tools import and only use for kinds of models that edgekit does not give them; torch is 5 GB with its CUDA.
_ABSENT = {
    "torch": 'def __getattr__(name):\n    raise RuntimeError(f"torch.{name}: edgekit\'s toolchain has no torch")\n',
    "onnxruntime_extensions": (
        "class PyOp:\n    dt_float, dt_int64 = 1, 7\n\n\nclass PyOrtFunction:\n    @staticmethod\n"
        '    def from_model(*_):\n        raise RuntimeError("edgekit\'s toolchain runs no custom operators")\n\n\n'
        "def onnx_op(**_):\n    return lambda function: function\n"
    ),
}
_SIMULATOR = Path(__file__).with_name("sophgo_simulator.py")


class Tool:
    """The vendor's programs in a work folder."""

    def __init__(self, folder: Path) -> None:
        """Find the package, and put aside what clashes with this machine."""
        found = importlib.util.find_spec("tpu_mlir")
        if found is None or found.origin is None:
            raise ImportError("tpu_mlir is not installed")
        self._folder, root = folder, Path(found.origin).parent
        for name in _CLASHING:
            path = root / "lib" / "third_party" / name
            try:
                path.replace(path.with_name(f"{name}.unused"))
            except FileNotFoundError:
                continue
        absent = folder / "absent"
        absent.mkdir()
        for name, text in _ABSENT.items():
            (absent / f"{name}.py").write_text(text, encoding="utf-8")
        self._programs = Path(sys.executable).parent
        libraries = [root / "lib", root / "lib" / "capi", root / "lib" / "third_party"]
        self._environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(self._programs), str(root / "bin"), os.environ.get("PATH", "")]),
            "PYTHONPATH": str(absent),
            "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
        }

    def run(self, program: str, *arguments: object) -> None:
        """Run one of the vendor's programs; what it prints goes where this process prints."""
        self._run([str(self._programs / program), *map(str, arguments)], program)

    def simulate(self, model: str, given: Path, out: Path) -> None:
        """Run inputs through a compiled model or a lowered graph, one at a time; see `sophgo_simulator`."""
        self._run([sys.executable, str(_SIMULATOR), model, str(given), str(out)], "the simulator")

    def _run(self, command: Sequence[str], name: str) -> None:
        sys.stdout.flush()
        log = self._folder / _LOG
        before = log.stat().st_size if log.exists() else 0
        code = subprocess.run(command, cwd=self._folder, env=self._environment).returncode
        if code != 0:
            # Said again at the end: this process's own traceback would push them out of the last lines.
            printed = log.read_bytes()[before:].decode(errors="replace") if log.exists() else ""
            lines = [line.rstrip() for line in printed.splitlines() if line.strip()][-_SHOWN:]
            raise RuntimeError("\n".join([f"{name} ended with {code}:", *lines]))
