"""What importing costs: neither Pillow nor OpenCV before the first image."""

from __future__ import annotations

import subprocess
import sys


def _modules_after(program: str) -> set[str]:
    code = f"{program}\nimport sys\nsys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_loads_neither_pillow_nor_opencv() -> None:
    loaded = _modules_after("import edgekit.preprocess")
    assert "edgekit.preprocess.pipeline" in loaded
    assert not {"PIL", "cv2", "torch", "onnxruntime"} & loaded


def test_a_photo_loads_pillow_only(photo_paths) -> None:
    loaded = _modules_after(f"from edgekit.preprocess import decode\ndecode({str(photo_paths[0])!r})")
    assert "PIL.Image" in loaded
    assert not {"cv2", "torch", "onnxruntime"} & loaded


def test_everything_public_is_there() -> None:
    import edgekit.preprocess as package

    for name in package.__all__:
        assert getattr(package, name) is not None
