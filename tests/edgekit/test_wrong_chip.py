"""The case the golden check exists for: one int8 file, right on one processor and wrong on another.

The file is what onnxruntime's own quantizer makes of a real network. Its u8 x s8 products saturate in 16 bits where the
processor has AVX2 but no VNNI (Haswell, Zen 1 to 3); such a processor is emulated here, with the real onnxruntime.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import chip_bundle
import edgekit
from edgekit.errors import RuntimeUnavailableError
from edgekit.trials import process

EMULATOR = shutil.which("qemu-x86_64-static")
emulated = pytest.mark.skipif(
    EMULATOR is None, reason="qemu-x86_64-static is not installed; apt-get install qemu-user-static"
)

if TYPE_CHECKING:
    from collections.abc import Sequence

LOAD = """
import json, sys
import edgekit
from edgekit.errors import EdgekitError
try:
    with edgekit.load(sys.argv[1], variant=sys.argv[2] or None, check="always") as clip:
        told = clip.explain()
        print(json.dumps({"chosen": told.chosen.variant, "reasons": [c.reason for c in told.candidates],
                          "options": told.chosen.options}))
except EdgekitError as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}))
"""


def load_under(prefix: Sequence[str], bundle: Path, variant: str) -> dict[str, Any]:
    """Load the bundle in a process of its own, on the processor that `prefix` stands for."""
    command = [*prefix, sys.executable, "-c", LOAD, str(bundle), variant]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=bundle.parent, timeout=600)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def saturates(flags: set[str]) -> bool:
    return "avx2" in flags and not flags & {"avx512_vnni", "avx_vnni"}


def test_this_processor_is_judged_by_what_it_computes(tmp_path: Path) -> None:
    bundle = chip_bundle.build(tmp_path / "chip.edge", ("int8",))
    if saturates(set(Path("/proc/cpuinfo").read_text().split())):
        with pytest.raises(RuntimeUnavailableError, match="wrong numbers on this device"):
            edgekit.load(bundle)
    else:
        with edgekit.load(bundle) as clip:
            assert clip.explain().chosen.checks[0].agreement.cosine_min > 0.98


@emulated
def test_load_refuses_the_int8_file_with_its_figure_and_takes_the_float_variant(tmp_path: Path) -> None:
    bundle = chip_bundle.build(tmp_path / "chip.edge", ("int8", "fp32"))
    found = load_under([str(EMULATOR), "-cpu", "Haswell"], bundle, "")
    assert found["chosen"] == "fp32"
    (reason,) = (reason for reason in found["reasons"] if "wrong numbers on this device" in reason)
    figure = re.search(r"image tower: cosine (0\.\d+) \(at least (0\.\d+)\)", reason)
    assert figure is not None, reason
    assert float(figure[1]) < 0.9 < float(figure[2])


@emulated
def test_tune_finds_what_cures_the_int8_file_and_load_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Only the candidates run on the emulated processor: they are what the verdicts come from.
    haswell = (str(EMULATOR), "-cpu", "Haswell")
    monkeypatch.setattr(process, "PREFIX", haswell)
    bundle = chip_bundle.build(tmp_path / "chip.edge", ("int8",))
    found = edgekit.tune(bundle, threads=(1,))
    refused, cured = found.candidates
    assert (refused.accepted, refused.options) == (False, ())
    assert "wrong numbers on this device: image tower: cosine 0.7" in refused.reason
    assert (cured.accepted, cured.options) == (True, (("x64quantprecision", "1"),))
    assert cured.checks[0].agreement.cosine_min > 0.98
    assert found.chosen == cured
    # A load with no further words opens it with that option, and on that processor its numbers hold.
    again = load_under(haswell, bundle, "")
    assert again == {"chosen": "int8", "reasons": [refused.reason, ""], "options": [["x64quantprecision", "1"]]}


@emulated
def test_the_same_file_is_right_on_a_processor_without_that_kernel(tmp_path: Path) -> None:
    bundle = chip_bundle.build(tmp_path / "chip.edge", ("int8",))
    assert load_under([str(EMULATOR), "-cpu", "Nehalem"], bundle, "int8") == {
        "chosen": "int8",
        "reasons": [""],
        "options": [],
    }
