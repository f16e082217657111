"""Runs inside the toolchain ``sophgo``, where edgekit is not installed: builds a graph, simulates it.

Its second half runs in a Python of its own, ``python sophgo_worker.py MODEL INPUTS.npy ROWS.npy``: the simulators are
libraries that are only found when the process starts with their folders in its environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.converters.toolchains.launch import Job

_NAME, _MLIR, _RANGES, _TABLE, _DATA = "tower", "tower.mlir", "tower.ranges", "tower.table", "calibration"
# Where this process prints, and how many of a program's last lines its failure repeats.
_LOG, _SHOWN = "tool.log", 6
# Ubuntu's C library inside the package: beside any other version's loader the tools crash, and the host's own is newer.
_CLASHING = ("libc.so.6", "libm.so.6", "libpthread.so.0")
# What the tools import and only use for kinds of models that edgekit does not give them; torch is 5 GB with its CUDA.
_ABSENT = {
    "torch": 'def __getattr__(name):\n    raise RuntimeError(f"torch.{name}: edgekit\'s toolchain has no torch")\n',
    "onnxruntime_extensions": (
        "class PyOp:\n    dt_float, dt_int64 = 1, 7\n\n\nclass PyOrtFunction:\n    @staticmethod\n"
        '    def from_model(*_):\n        raise RuntimeError("edgekit\'s toolchain runs no custom operators")\n\n\n'
        "def onnx_op(**_):\n    return lambda function: function\n"
    ),
}
_FLOATS = {"fp16": "F16", "bf16": "BF16", "fp32": "F32"}


def run(job: Job) -> dict[str, Any]:
    """Build what the request says, and simulate it.

    Args:
        job: its request has the model, the chip, the precision, the scaling, and the inputs' files.

    Returns:
        The layers that stay in float, and the version.
    """
    asked = job.request
    tool = _Tool(job)
    job.stage("reading the graph")
    shape = "[" + ",".join(map(str, asked["shape"])) + "]"
    tool.run(
        "model_transform", "--model_name", _NAME, "--model_def", asked["model"], "--input_shapes", f"[{shape}]",
        "--mlir", _MLIR,
    )  # fmt: skip
    deploy = ["--mlir", _MLIR, "--processor", asked["chip"], "--model", asked["out"]]
    floats: list[str] = []
    if asked["precision"] in _FLOATS:
        deploy += ["--quantize", _FLOATS[asked["precision"]]]
    else:
        floats = _ranges(job, tool)
        deploy += ["--quantize", "INT8", "--calibration_table", _RANGES]
        deploy += ["--quantize_table", _TABLE] if floats else []
    job.stage(f"building {asked['precision']} for {asked['chip']}")
    tool.run("model_deploy", *deploy)
    for part, path in asked["parts"].items():
        job.stage(f"simulating the {part} inputs")
        given = job.folder / f"{part}.given.npy"
        _save(given, _scaled(path, asked))
        tool.simulate(asked["out"], given, job.folder / f"{part}.rows.npy")
    return {"floats": floats, "version": _version()}


def _ranges(job: Job, tool: _Tool) -> list[str]:
    """Measure ranges on the calibration inputs; where layers may stay in float, return those that were chosen."""
    import numpy as np

    asked = job.request
    job.stage("measuring ranges")
    folder = job.folder / _DATA
    folder.mkdir()
    rows = _scaled(asked["calibration"], asked)
    for number, row in enumerate(rows):
        np.savez(folder / f"{number:05}.npz", **{asked["input"]: row[None]})
    count = ("--input_num", str(len(rows)))
    tool.run("run_calibration", _MLIR, "--dataset", folder, *count, "-o", _RANGES)
    if asked["precision"] != "hybrid":
        return []
    job.stage("choosing the layers that stay in float")
    tool.run(
        "run_calibration", _MLIR, "--dataset", folder, *count, "--processor", asked["chip"],
        "--search", "search_qtable", "--fp_type", "F16", "--expected_cos", str(asked["cosine"]),
        "--calibration_table", _RANGES, "--quantize_table", _TABLE,
    )  # fmt: skip
    return layers((job.folder / _TABLE).read_text(encoding="utf-8"))


def layers(text: str) -> list[str]:
    """Read the tool's table of layers that are not in 8 bits.

    Args:
        text: one layer a line, its name and its type; comments begin with ``#``.

    Returns:
        Name and type of each.
    """
    lines = [line.split() for line in text.split("\n") if line.strip() and not line.startswith("#")]
    return [" ".join(parts[:2]) for parts in lines]


class _Tool:
    """The vendor's programs, with the environment that they need."""

    def __init__(self, job: Job) -> None:
        import importlib.util

        found = importlib.util.find_spec("tpu_mlir")
        if found is None or found.origin is None:
            raise ImportError("tpu_mlir is not installed")
        self._job, root = job, Path(found.origin).parent
        for name in _CLASHING:
            path = root / "lib" / "third_party" / name
            try:
                path.replace(path.with_name(f"{name}.unused"))
            except FileNotFoundError:
                continue
        absent = job.folder / "absent"
        absent.mkdir()
        for name, text in _ABSENT.items():
            (absent / f"{name}.py").write_text(text, encoding="utf-8")
        self._programs = Path(sys.executable).parent
        libraries = [root / "lib", root / "lib" / "capi", root / "lib" / "third_party"]
        self._environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(self._programs), str(root / "bin"), os.environ.get("PATH", "")]),
            "PYTHONPATH": str(absent),
            "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
        }

    def run(self, program: str, *arguments: object) -> None:
        """Run one of the vendor's programs; what it prints goes where this process prints."""
        self._run([str(self._programs / program), *map(str, arguments)], program)

    def simulate(self, model: str, given: Path, out: Path) -> None:
        """Run inputs through a compiled model, one at a time."""
        self._run([sys.executable, __file__, model, str(given), str(out)], "the simulator")

    def _run(self, command: Sequence[str], name: str) -> None:
        sys.stdout.flush()
        log = self._job.folder / _LOG
        before = log.stat().st_size if log.exists() else 0
        code = subprocess.run(command, cwd=self._job.folder, env=self._environment).returncode
        if code != 0:
            # Said again at the end: this process's own traceback would push them out of the last lines.
            printed = log.read_bytes()[before:].decode(errors="replace") if log.exists() else ""
            lines = [line.rstrip() for line in printed.splitlines() if line.strip()][-_SHOWN:]
            raise RuntimeError("\n".join([f"{name} ended with {code}:", *lines]))


def _simulate(model: str, given: str, out: str) -> None:
    import numpy as np
    from tpu_mlir.python.utils.lowering import bf16_to_fp32, lowering

    loaded, net = _net(model)
    (taken,), (returned,) = net.inputs, net.outputs
    rows = []
    for row in np.load(given, allow_pickle=False):
        value = lowering(row[None], taken.dtype, row[None].shape, pzero_point=taken.qzero_point, pscale=taken.qscale)
        taken.data.reshape(-1)[: value.size] = value.reshape(-1)
        net.forward()
        found = np.array(returned.data)
        if returned.dtype == "bf16":
            found = bf16_to_fp32(found)
        rows.append((found.astype(np.float32) * (returned.qscale or 1)).reshape(1, -1))
    _save(Path(out), np.concatenate(rows))
    # The simulator's network must not outlive what it was loaded into.
    del net, loaded


def _net(model: str) -> tuple[Any, Any]:
    """Open a compiled model in its chip's simulator."""
    if not model.endswith(".bmodel"):
        import pyruntime_cvi

        net = pyruntime_cvi.Model(model, output_all_tensors=False)
        return net, net
    from filelock import FileLock
    from tpu_mlir.python.tools import model_runner

    chip = model_runner.get_chip_from_model(model)
    # The simulator is one name that points at the library of the chip used last: others may be pointing it now.
    with FileLock(str(Path(os.environ["TPUC_ROOT"]) / "lib" / ".edgekit.lock")):
        model_runner.link_cmodel_so(chip)
        model_runner.link_bmlib_so(chip)
        import pyruntime_bm

        model_runner.bind_cmodel_so(chip)
    loaded = pyruntime_bm.Model(model, 0, "")
    return loaded, loaded.Net(loaded.networks[0])


def _scaled(path: str, asked: dict[str, Any]) -> Any:
    """Return contract inputs as the graph takes them: scaled pixels with channels first, or token ids."""
    import numpy as np

    values = np.load(path, allow_pickle=False)
    if not asked["mean"]:
        return values.astype(np.int32)
    scaled = (values.astype(np.float32) - np.float32(asked["mean"])) / np.float32(asked["std"])
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def _save(path: Path, array: Any) -> None:
    import numpy as np

    np.save(path, array, allow_pickle=False)


def _version() -> str:
    from importlib.metadata import version

    return version("tpu-mlir")


if __name__ == "__main__":
    _simulate(*sys.argv[1:])
