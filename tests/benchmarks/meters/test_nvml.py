"""NVML through the real Python package, on a driver library of ours where the machine has none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.benchmarks.meters.nvml import Nvml
from edgekit.errors import InputError

# The few functions that the meter asks, with NVML's signatures; 3 is NVML_ERROR_NOT_SUPPORTED.
_DRIVER = """
typedef unsigned int u; typedef unsigned long long ull;
typedef struct { u gpu, memory; } rates; typedef struct { ull total, free, used; } memory;
int nvmlInit_v2(void) { return 0; } int nvmlInitWithFlags(u f) { return 0; } int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int e) { return "no such GPU"; }
int nvmlDeviceGetHandleByIndex_v2(u i, void **d) { *d = (void *)1; return i ? 2 : 0; }
int nvmlDeviceGetPowerUsage(void *d, u *p) { *p = 123456; return 0; }
int nvmlDeviceGetTotalEnergyConsumption(void *d, ull *e) { *e = 7654321; return COUNTER; }
int nvmlDeviceGetTemperature(void *d, u s, u *t) { *t = 61; return 0; }
int nvmlDeviceGetClockInfo(void *d, u t, u *c) { *c = 1410; return 0; }
int nvmlDeviceGetUtilizationRates(void *d, rates *r) { r->gpu = 97; r->memory = 3; return 0; }
int nvmlDeviceGetMemoryInfo(void *d, memory *m) { m->used = 3ull << 30; return 0; }
int nvmlDeviceGetCurrentClocksThrottleReasons(void *d, ull *r) { *r = 0x24 | 1; return 0; }
"""
_ASK = """
import json
from edgekit.benchmarks.meters.nvml import Nvml
meter = Nvml()
found = {"ok": meter.present().ok, "read": meter.read(), "units": {c.name: c.unit for c in meter.channels()}}
found["scopes"] = [c.scope for c in meter.channels() if c.scope]
print(json.dumps({**found, "second": Nvml(setting="1").present().reason}))
"""


def ask(folder: Path, counter: int) -> dict[str, object]:
    """Build the library, and let another process read it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build a driver library with")
    source = folder / "nvml.c"
    source.write_text(_DRIVER)
    library = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", f"-DCOUNTER={counter}", "-o", str(library), str(source)], check=True)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", _ASK], env=environment, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def test_a_gpu_with_a_counter_gives_joules_from_millijoules(tmp_path: Path) -> None:
    found = ask(tmp_path, 0)
    assert found["ok"]
    assert found["read"] == {
        "GPU 0": 7654.321,
        "GPU 0 chip": 61.0,
        "GPU 0 clock": 1410.0,
        "GPU 0 load": 97.0,
        "GPU 0 memory": 3072.0,
        "GPU 0 power cap": 1.0,
        "GPU 0 hardware slowdown": 0.0,
        "GPU 0 thermal": 1.0,
        "GPU 0 hardware thermal": 0.0,
        "GPU 0 power brake": 0.0,
    }
    assert found["units"]["GPU 0"] == "J"  # type: ignore[index]
    assert found["scopes"] == ["accelerator"]
    assert "no GPU 1" in str(found["second"])


def test_an_older_gpu_gives_watts_from_milliwatts(tmp_path: Path) -> None:
    found = ask(tmp_path, 3)
    assert found["read"]["GPU 0"] == 123.456  # type: ignore[index]
    assert found["units"]["GPU 0"] == "W"  # type: ignore[index]


def test_without_a_driver_the_reason_is_told(tmp_path: Path) -> None:
    presence = Nvml().present()
    assert presence.ok or "driver" in presence.reason
    assert not Nvml(tmp_path).present().ok
    assert Nvml(tmp_path).channels() == ()
    assert Nvml(tmp_path).read() == {}
    with pytest.raises(InputError, match="nvidia-smi"):
        Nvml(setting="GPU-1")
