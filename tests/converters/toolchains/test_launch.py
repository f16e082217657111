"""The launcher, as a toolchain's Python runs it: nothing of edgekit is there, and one file holds the answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgekit.converters.toolchains import launch


@pytest.fixture
def start(tmp_path: Path) -> Any:
    """Run the body of a worker's ``run(job)`` as `work.run` does; return the exit code and the answer, if any."""

    def run(body: str, request: Any = None, *, content: str | None = None) -> tuple[int, Any]:
        (tmp_path / launch.REQUEST).write_text(json.dumps(request or {}) if content is None else content)
        worker = tmp_path / "worker.py"
        worker.write_text("import sys\ndef run(job):\n" + "".join(f"    {line}\n" for line in body.split("\n")))
        command = [sys.executable, "-I", launch.__file__, str(worker), str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
        run.printed = done.stdout + done.stderr  # type: ignore[attr-defined]
        answer = tmp_path / launch.RESULT
        found = json.loads(answer.read_text()) if answer.exists() else None
        answer.unlink(missing_ok=True)
        return done.returncode, found

    return run


@pytest.mark.parametrize("value", [{}, [], {"a": [1, 2.5, None, True]}, {"ü": "猫 \n"}, "text", 0])
def test_plain_values_go_in_and_come_back(start: Any, value: Any) -> None:
    assert start("return job.request['value']", {"value": value}) == (0, {"result": value})


def test_a_refusal_is_an_answer_of_its_kind(start: Any) -> None:
    assert start("raise job.refused('no such chip')") == (1, {"error": ["ConversionError", "no such chip"]})
    code, answer = start("raise job.refused('ü', 'InputError')")
    assert (code, answer) == (1, {"error": ["InputError", "ü"]})
    assert start.printed == ""  # it is no crash, and shows no traceback


def test_a_crash_leaves_no_answer_but_its_traceback(start: Any) -> None:
    assert start("raise KeyError('layer')") == (1, None)
    assert "KeyError: 'layer'" in start.printed


def test_out_of_memory_is_an_answer(start: Any) -> None:
    assert start("raise MemoryError") == (1, {"error": ["ConversionError", "out of memory"]})


def test_what_is_no_plain_value_leaves_no_half_an_answer(start: Any, tmp_path: Path) -> None:
    assert start("return {'bytes': b'x'}") == (1, None)
    assert "not JSON serializable" in start.printed
    assert not list(tmp_path.glob("*.part"))


def test_a_request_that_is_none_is_a_crash_before_the_work(start: Any, tmp_path: Path) -> None:
    assert start("open('ran', 'w')", content="{") == (1, None)
    assert not (tmp_path / "ran").exists()


def test_stages_are_told_line_by_line_while_it_works(start: Any, tmp_path: Path) -> None:
    body = "job.stage('one\\nline, ü')\nreturn (job.folder / 'stages.jsonl').read_text(encoding='utf-8')"
    code, answer = start(body)
    assert (code, json.loads(answer["result"])) == (0, "one\nline, ü")
    assert answer["result"].count("\n") == 1


def test_a_library_that_crashes_while_python_ends_changes_nothing(start: Any) -> None:
    """What runs at exit, as destructors of vendors' libraries do, is not waited for."""
    body = "import atexit, os\natexit.register(os.abort)\nprint('done', end='')\nreturn 1"
    assert start(body) == (0, {"result": 1})
    assert start.printed == "done"


def test_the_worker_stands_in_nobodys_way(start: Any, tmp_path: Path) -> None:
    """Neither its folder nor the current one is searched for packages, and its records know their own module."""
    (tmp_path / "colorsys.py").write_text("raise SystemExit('the wrong one')")
    body = (
        "import colorsys\n"
        "tools = job.sibling('tools')\n"
        "return [colorsys.rgb_to_hsv(0, 0, 1)[2], tools.Pair(2).left, tools.__name__, __name__]"
    )
    (tmp_path / "tools.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass, field\n"
        "@dataclass\nclass Pair:\n    left: int\n    right: list[int] = field(default_factory=list)\n"
    )
    assert start(body) == (0, {"result": [1, 2, "edgekit_tools", "edgekit_worker"]})
