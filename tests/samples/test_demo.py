"""The demo of `make demo`: real photos, real labels, a picture, no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
# The astronaut is beyond the starter's vocabulary and says so in its card.
RIGHT = {"cat": "a cat", "coffee": "a cup of coffee", "rocket": "a rocket", "temple": "a temple", "flower": "a flower"}


def test_demo_is_right_and_draws(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "samples" / "demo.py"), "-o", "sheet.png"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    lines = result.stdout.splitlines()
    for name, label in RIGHT.items():
        at = next(i for i, line in enumerate(lines) if line.endswith(f"{name}.jpg"))
        assert lines[at + 1].endswith(label)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (768, 644)


def test_demo_needs_no_torch(tmp_path: Path) -> None:
    blocked = (
        "import sys; sys.modules['torch'] = None; import runpy; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    )
    script = str(ROOT / "samples" / "demo.py")
    result = subprocess.run(
        [sys.executable, "-c", blocked, script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "demo.png").exists()
