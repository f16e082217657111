"""Which kernels an engine ran on an emulated ARM64 processor: its instructions counted by `opcode_classes.c`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import arm_board

SOURCE = Path(__file__).with_name("opcode_classes.c")
CLASSES = ("int8_dot", "int8_matrix", "integer_multiply", "float16", "float32")
# A process for each model, so that each has its own counts; only the first import of the engine is paid for.
_PROGRAM = """
import json, os, sys
import numpy as np, onnxruntime
models, out = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.log_severity_level = 4
for name in sorted(n for n in os.listdir(models) if n.endswith(".onnx")):
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert status == 0, f"{name}: status {status}"
        continue
    session = onnxruntime.InferenceSession(f"{models}/{name}", options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    (found,) = session.run(None, {given.name: np.load(f"{models}/{name.split('.')[0]}.npy")})
    np.save(f"{out}/{name}.npy", found)
    with open(f"{out}/process.{os.getpid()}", "w") as file:
        file.write(name)
    os._exit(0)
"""
# The emulator is not the root's own, so that it must be told where the root is; it looks there before it looks here.
_START = """
info=$1 root=$2; shift 2
mkdir -p "$root/sys"
mount --bind "$info/cpuinfo" "$root/proc/cpuinfo" && mount --bind "$info/sys" "$root/sys" || exit 90
exec "$@"
"""


def missing() -> str:
    """Say why nothing can be counted here; empty where it can."""
    if arm_board.missing():
        return arm_board.missing()
    emulator, compiler = shutil.which("qemu-aarch64"), shutil.which("cc")
    if emulator is None or compiler is None:
        return "needs qemu-aarch64 (package qemu-user) and a C compiler"
    told = subprocess.run([emulator, "--help"], capture_output=True, text=True, check=False).stdout
    return "" if "-plugin" in told else "this qemu-aarch64 takes no plugins"


def build(folder: Path) -> Path:
    """Compile the plugin."""
    plugin = folder / "opcode_classes.so"
    command = ["cc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-O2", "-o", str(plugin), str(SOURCE)]
    subprocess.run(command, check=True)
    return plugin


def count(processor: arm_board.Processor, plugin: Path, models: Path, out: Path) -> dict[str, dict[str, int]]:
    """Run every model of a folder on its input, ``NAME.npy`` for ``NAME.*.onnx``.

    Args:
        processor: the one to emulate.
        plugin: see `build`.
        models: the folder.
        out: an empty folder; each model's output comes there as ``MODEL.npy``.

    Returns:
        For each file name, how many instructions of each of `CLASSES` its session made and its inference ran.
    """
    root = str(arm_board.FILES / "root")
    emulator = ["qemu-aarch64", "-cpu", processor.name, "-plugin", f"{plugin},out={out}/counts", "-L", root]
    python = ["-E", f"PYTHONHOME={root}/usr", f"{root}/usr/bin/python3.11", "-c", _PROGRAM, str(models), str(out)]
    info = arm_board.describe(processor, out)
    command = ["unshare", "-m", "sh", "-c", _START, "sh", str(info), root, *emulator, *python]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    found = {path.read_text(): path.suffix for path in out.glob("process.*")}
    return {name: json.loads((out / f"counts{process}").read_text()) for name, process in found.items()}
