"""Start a worker inside a toolchain's Python, where edgekit is not installed: the standard library only.

``python launch.py WORKER FOLDER`` reads ``FOLDER/request.json``, calls ``run(job)`` of the file WORKER, and writes
``FOLDER/result.json``: ``{"result": …}``, or ``{"error": [kind, message]}`` where the worker refused on purpose. It
says what it is doing in ``FOLDER/stages.jsonl``, and prints whatever the vendor's tool prints.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

REQUEST, RESULT, STAGES = "request.json", "result.json", "stages.jsonl"


class Refused(Exception):  # noqa: N818  # it is an answer, not an error of the program
    """What a worker raises to refuse with a message for the user; `kind` names one of edgekit's errors."""

    def __init__(self, message: str, kind: str = "ConversionError") -> None:
        """Keep the kind beside the message."""
        super().__init__(message)
        self.kind = kind


class Job:
    """What a worker is given: the work folder, the request, and `refused` to raise, which workers cannot import."""

    def __init__(self, folder: Path, worker: Path) -> None:
        """Read the request."""
        self.folder = folder
        self._worker = worker
        self.request: dict[str, Any] = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
        self.refused = Refused

    def stage(self, name: str) -> None:
        """Tell the parent what is done now."""
        with (self.folder / STAGES).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(name) + "\n")

    def sibling(self, name: str) -> Any:
        """Load the file of that name beside the worker, which imports nothing of edgekit either.

        Imports do not search that folder: it has files with the names of vendors' packages.
        """
        return _load(self._worker.with_name(f"{name}.py"))


def main(worker: Path, folder: Path) -> int:
    """Run a worker.

    Args:
        worker: a Python file with ``run(job)`` that returns plain values.
        folder: the work folder.

    Returns:
        0, or 1 where the worker refused.
    """
    module = _load(worker)
    try:
        answer: dict[str, Any] = {"result": module.run(Job(folder, worker))}
    except Refused as refusal:
        answer = {"error": [refusal.kind, str(refusal)]}
    except MemoryError:
        answer = {"error": ["ConversionError", "out of memory"]}
    part = folder / f"{RESULT}.part"
    part.write_text(json.dumps(answer), encoding="utf-8")
    part.replace(folder / RESULT)
    return 1 if "error" in answer else 0


def _load(path: Path) -> Any:
    """Load a file under a name that no package has; records made of annotations look their own file up there."""
    name = f"edgekit_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path}: cannot be loaded")
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


if __name__ == "__main__":
    code = main(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.flush()
    sys.stderr.flush()
    # Some vendors' libraries crash while Python tears them down, after everything was done.
    os._exit(code)
