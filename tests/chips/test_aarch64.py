"""ARM64 for real, under an emulator: the wheel proves the starter on cores of three kinds."""

from __future__ import annotations

import numpy as np
import pytest

import arm_board
import edgekit

pytestmark = pytest.mark.skipif(bool(arm_board.missing()), reason=arm_board.missing() or "a board is here")

TEXTS = ["a cat", "a rocket on a launch pad", "two red bicycles"]
LABELS = ["a cat", "a dog", "a car"]
# One process a processor: most of its time is the emulator's. The photo is found where the wheel put it.
PROGRAM = f"""
import json, platform, edgekit
from importlib.resources import files
from edgekit.cli.doctor import diagnose
photo = str(files("edgekit.samples") / "photos" / "cat.jpg")
with edgekit.load("starter", towers=TOWERS, check="always") as clip:
    found = {{
        "machine": platform.machine(),
        "int8": diagnose().int8,
        "chosen": clip.explain().chosen.setup,
        "checks": [check.agreement.cosine_min for check in clip.explain().chosen.checks],
        "texts": clip.embed_texts({TEXTS!r}).tolist(),
    }}
    if "image" in TOWERS:
        found["photo"] = clip.embed_images([photo])[0].tolist()
        found["best"] = clip.classify(photo, {LABELS!r}).best.label
    print(json.dumps(found))
"""


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory):
    return arm_board.install(tmp_path_factory.mktemp("arm") / "site")


@pytest.fixture(scope="module", name="here")
def _here():
    photo = arm_board.ROOT / "samples" / "photos" / "cat.jpg"
    with edgekit.load("starter", runtime="onnxruntime") as clip:
        return np.asarray(clip.embed_texts(TEXTS)), np.asarray(clip.embed_images([photo])[0])


def ask(processor, folder, site, towers):
    program = PROGRAM.replace("TOWERS", repr(towers))
    return arm_board.json_of(arm_board.run(processor, folder, site, ["-c", program]))


@pytest.mark.parametrize("processor", [arm_board.CORTEX_A53, arm_board.CORTEX_A76], ids=lambda one: one.name)
def test_the_starter_is_right_and_as_on_x86(processor, tmp_path, site, here):
    found = ask(processor, tmp_path, site, ("image", "text"))
    assert found["machine"] == "aarch64"
    # The starter stores its weights in int8 and computes in floats, so that it does not depend on this.
    name = "arm-neon" if processor is arm_board.CORTEX_A53 else "arm-dotprod"
    assert found["int8"].startswith(f"{name}, ")
    assert min(found["checks"]) > 0.98
    assert found["best"] == "a cat"
    texts, photo = here
    np.testing.assert_allclose(found["texts"], texts, atol=1e-5, rtol=0)
    np.testing.assert_allclose(found["photo"], photo, atol=1e-5, rtol=0)


def test_texts_are_right_on_a_core_with_i8mm(tmp_path, site, here):
    found = ask(arm_board.NEWEST, tmp_path, site, ("text",))
    assert found["int8"].startswith("arm-i8mm, ")
    np.testing.assert_allclose(found["texts"], here[0], atol=1e-5, rtol=0)


def test_the_command_line_works_there(tmp_path, site):
    done = arm_board.run(arm_board.CORTEX_A76, tmp_path, site, ["-m", "edgekit.cli.main", "inspect", "starter"])
    assert done.returncode == 0, done.stderr
    assert "int8" in done.stdout
    wrong = arm_board.run(arm_board.CORTEX_A76, tmp_path, site, ["-m", "edgekit.cli.main", "verify", "none.edge"])
    assert wrong.returncode == 2
    assert "none.edge" in wrong.stderr
