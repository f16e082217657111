"""Stand-ins for CUDA's two libraries, compiled from C: their functions' own signatures, on the host's memory.

They prove how edgekit calls the libraries, not what a GPU does.
"""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

# Numbers of errors and attributes as in cuda.h and driver_types.h.
_DRIVER = r"""
#include <string.h>
int fail = 0, count = 1, major = 8, minor = 7, version = 12060;
const char *name = "Orin";
void edgekit_set(int f, int c, int ma, int mi, int v) { fail = f; count = c; major = ma; minor = mi; version = v; }
int cuInit(unsigned flags) { return flags ? 1 : fail; }
int cuDeviceGetCount(int *n) { *n = count; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal + 40; return ordinal < count ? 0 : 101; }
int cuDeviceGetName(char *out, int size, int device) { strncpy(out, name, size); return device < 40 ? 101 : 0; }
int cuDeviceGetAttribute(int *out, int kind, int device) {
  *out = kind == 75 ? major : kind == 76 ? minor : -1; return device < 40 ? 101 : 0;
}
int cuDriverGetVersion(int *out) { *out = version; return 0; }
int cuGetErrorString(int code, const char **out) {
  *out = code == 100 ? "no CUDA-capable device is detected" : 0; return *out ? 0 : 1;
}
"""
_RUNTIME = r"""
#include <stdlib.h>
#include <string.h>
int live = 0, last = 0, limit = 1 << 30, failing = 0, device = -1, waits = 0;
static int told(int code) { last = code; return code; }
void edgekit_set(int l, int f) { limit = l; failing = f; }
int edgekit_live(void) { return live; }
int edgekit_last(void) { return last; }
int cudaSetDevice(int d) { device = d; return told(d < 0 || d > 1 ? 101 : 0); }
int cudaStreamCreate(void **s) { *s = malloc(8); live++; return 0; }
int cudaStreamDestroy(void *s) { free(s); live--; return 0; }
int cudaStreamSynchronize(void *s) { waits++; return told(s ? failing : 400); }
int cudaMalloc(void **p, size_t n) { if (n > (size_t)limit) return told(2); *p = malloc(n); live++; return 0; }
int cudaFree(void *p) { free(p); live--; return 0; }
int cudaHostAlloc(void **p, size_t n, unsigned flags) {
  if (flags || n > (size_t)limit) return told(2);
  *p = calloc(1, n); live++; return 0;
}
int cudaFreeHost(void *p) { free(p); live--; return 0; }
int cudaMemcpyAsync(void *to, const void *from, size_t n, int kind, void *stream) {
  if (kind < 1 || kind > 2 || !stream) return told(21);
  memcpy(to, from, n); return 0;
}
const char *cudaGetErrorString(int code) {
  return code == 2 ? "out of memory" : code == 700 ? "an illegal memory access was encountered" : "other";
}
int cudaGetLastError(void) { int was = last; last = 0; return was; }
"""


def driver(folder: Path) -> Path:
    """Compile a driver whose one GPU is an Orin; ``edgekit_set(fail, count, major, minor, version)`` changes it."""
    return _compiled(folder / "libcuda-stand-in.so.1", _DRIVER)


def runtime(folder: Path) -> Path:
    """Compile a runtime; ``edgekit_set(limit, failing)`` bounds its memory and makes waiting fail."""
    return _compiled(folder / "libcudart-stand-in.so.13", _RUNTIME)


def _compiled(path: Path, code: str) -> Path:
    """Give each caller a file of its own, and with it variables of its own; the compiler runs once."""
    return Path(shutil.copyfile(_made(code), path))


@cache
def _made(code: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="edgekit-cuda-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "stand_in.c").write_text(code)
    made = folder / "stand_in.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-w", "-o", str(made), str(folder / "stand_in.c")], check=True)
    return made
