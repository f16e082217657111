"""Memory on an ARM64 board, measured under an emulator: of the program's own pages, not of the emulator's.

What the kernel tells of an emulated process (``VmHWM``, ``VmRSS``) is the emulator's, with the code it translated. The
emulator gives the program its pages at the addresses that it asked for, so that those in the program's own
``/proc/self/maps`` can be added up in ``/proc/self/smaps``, which is the kernel's. On a real device `edgekit bench`
tells the same from the kernel.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import arm_board

pytestmark = pytest.mark.skipif(bool(arm_board.missing()), reason=arm_board.missing() or "a board is here")

PROGRAM = """
import json

def regions(path):
    found = []
    for line in open(path):
        words = line.split()
        if line.startswith("Rss:"):
            found[-1][2] = int(words[1]) / 1024
        elif line.startswith("Anonymous:"):
            found[-1][3] = int(words[1]) / 1024
        elif "-" in words[0]:
            found.append([*(int(end, 16) for end in words[0].split("-")), 0, 0])
    return found

def resident():
    own, every = regions("/proc/self/maps"), regions("/proc/self/smaps")
    # The emulator itself may lie in a gap of the program's, and never across its border.
    inside = [area for area in every if any(area[0] < end and start < area[1] for start, end, _, _ in own)]
    return {"own": sum(a[2] for a in inside), "written": sum(a[3] for a in inside), "all": sum(a[2] for a in every)}

found = {"python": resident()}
import edgekit
from importlib.resources import files
photo = str(files("edgekit.samples") / "photos" / "coffee.jpg")
found["edgekit"] = resident()
with edgekit.load("starter", runtime="onnxruntime") as clip:
    found["loaded"] = resident()
    clip.embed_images([photo]), clip.embed_texts(["a cup of coffee"])
    found["first"] = resident()
status = [line.split() for line in open("/proc/self/status") if line.startswith("VmHWM")]
found["peak"] = int(status[0][1]) / 1024
print(json.dumps(found))
"""
STAGES = ("python", "edgekit", "loaded", "first")


@pytest.fixture(scope="module", name="there")
def _there(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arm")
    site = arm_board.install(folder / "site")
    return arm_board.json_of(arm_board.run(arm_board.CORTEX_A76, folder, site, ["-c", PROGRAM]))


@pytest.fixture(scope="module", name="here")
def _here(tmp_path_factory):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "EDGEKIT_CACHE": str(tmp_path_factory.mktemp("cache"))}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def test_here_every_page_is_the_programs_and_the_peak_is_at_the_end(here):
    for stage in STAGES:
        assert here[stage]["own"] == pytest.approx(here[stage]["all"], abs=0.1)
    # So a sum at the end, all that can be had under an emulator, misses no peak before it.
    assert here["first"]["own"] == pytest.approx(here["peak"], rel=0.02)


def test_the_emulators_own_memory_is_left_out(there):
    for stage in STAGES:
        assert there[stage]["own"] < there[stage]["all"] - 20
    assert there["peak"] > there["first"]["own"] + 50, "what the kernel tells is no figure of the board"


def test_a_load_and_a_first_embedding_take_about_what_they_do_here(here, there):
    for stage in STAGES:
        assert there[stage]["written"] == pytest.approx(here[stage]["written"], rel=0.4, abs=6), stage
        assert there[stage]["written"] < there[stage]["own"]
    # Weights of 7.4 MB in 8 bits become 28 MB of floats; Python and the engine's own code are the rest.
    assert 60 < there["first"]["own"] < 200
