"""The camera sample on a real video file made of the sample photos."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2

ROOT = Path(__file__).parents[2]
LABELS = ("a cat", "a cup of coffee", "a rocket")


def test_names_each_second_of_a_video(tmp_path: Path) -> None:
    video = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 4, (320, 240))
    for name in ("cat", "coffee", "rocket"):
        frame = cv2.resize(cv2.imread(str(ROOT / "samples" / "photos" / f"{name}.jpg")), (320, 240))
        for _ in range(4):
            writer.write(frame)
    writer.release()
    arguments = [value for label in LABELS for value in ("--label", label)]
    command = [sys.executable, str(ROOT / "samples" / "camera.py"), str(video), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    lines = result.stdout.splitlines()
    assert [line.split("%  ")[1] for line in lines] == list(LABELS)
    assert [line.split()[0] for line in lines] == ["0.0", "1.0", "2.0"]


def test_missing_video_is_named(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "samples" / "camera.py"), "missing.avi", "--label", "a cat"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 1
    assert "missing.avi: no such camera or video file" in result.stderr
