"""RISC-V, under an emulator: the wheel proves the starter with the ONNX Runtime that Debian builds for riscv64."""

from __future__ import annotations

import numpy as np
import pytest

import arm_board
import edgekit
import riscv_board

pytestmark = pytest.mark.skipif(bool(riscv_board.missing()), reason=riscv_board.missing() or "a board is here")

TEXTS = ["a cat", "a rocket on a launch pad", "two red bicycles"]
LABELS = ["a cat", "a dog", "a car"]
# One process: most of its time is the emulator's. Photo and starter are found where the wheel put them.
PROGRAM = f"""
import json, platform, edgekit
from importlib.resources import files
from edgekit.bundle.reader import open_bundle
from edgekit.cli.doctor import diagnose, report
from edgekit.cli.verify import report as verified
from edgekit.locations import resolve
from edgekit.verification import verify
photo = str(files("edgekit.samples") / "photos" / "cat.jpg")
proof = verify(open_bundle(resolve("starter")))
with edgekit.load("starter") as clip:
    found = {{
        "machine": platform.machine(),
        "doctor": report(diagnose()),
        "passed": proof.passed,
        "proof": verified(proof),
        "texts": clip.embed_texts({TEXTS!r}).tolist(),
        "photo": clip.embed_images([photo])[0].tolist(),
        "best": clip.classify(photo, {LABELS!r}).best.label,
    }}
print(json.dumps(found))
"""


@pytest.fixture(scope="module", name="found")
def _found(tmp_path_factory):
    site = arm_board.install(tmp_path_factory.mktemp("riscv") / "site")
    return arm_board.json_of(riscv_board.run(site, ["-c", PROGRAM]))


def test_the_starter_is_proven_there(found):
    assert found["machine"] == "riscv64"
    assert found["passed"] is True
    lines = found["proof"].splitlines()
    assert any(line.startswith("int8 on onnxruntime 1.") and line.endswith("  ok") for line in lines), lines
    assert "token ids  equal on 8 texts" in lines
    assert lines[-1] == "PASSED"


def test_embeddings_are_those_of_x86(found):
    photo = arm_board.ROOT / "samples" / "photos" / "cat.jpg"
    with edgekit.load("starter", runtime="onnxruntime") as clip:
        texts, image = np.asarray(clip.embed_texts(TEXTS)), np.asarray(clip.embed_images([photo])[0])
    np.testing.assert_allclose(found["photo"], image, atol=1e-5, rtol=0)
    np.testing.assert_allclose(found["texts"], texts, atol=1e-5, rtol=0)
    assert found["best"] == "a cat"


def test_doctor_knows_the_machine_and_guesses_no_kernel(found):
    assert "riscv64 Linux" in found["doctor"]
    assert "int8 kernels: not known for this processor" in found["doctor"]
    assert "ok   onnxruntime 1." in found["doctor"]
