"""Runs inside the toolchain ``vela``, where edgekit is not installed: compiles a LiteRT file and reads its summary."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.converters.toolchains.launch import Job

# Vela's name of the one operator that stands for everything the NPU does.
_NPU = "ethos-u"


def run(job: Job) -> dict[str, Any]:
    """Compile.

    Args:
        job: its request has the file, the accelerator's configuration and the file to write.

    Returns:
        The columns of Vela's summary, the operators of the compiled file with their numbers, and the version.
    """
    asked = job.request
    source, out = Path(asked["source"]), job.folder / "vela"
    job.stage(f"compiling for {asked['accelerator']}")
    command = [sys.executable, "-m", "ethosu.vela", str(source), "--accelerator-config", asked["accelerator"]]
    command += ["--output-dir", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    sys.stdout.write(done.stdout + done.stderr)
    if done.returncode != 0:
        raise RuntimeError(f"vela ended with {done.returncode}")
    made = out / f"{source.stem}_vela.tflite"
    made.replace(job.folder / asked["out"])
    return {
        "summary": summary(next(out.glob("*_summary_*.csv")).read_text(encoding="utf-8")),
        "operators": operators((job.folder / asked["out"]).read_bytes()),
        "npu": _NPU,
        "version": _version(),
    }


def summary(text: str) -> dict[str, str]:
    """Return the last row of Vela's summary by its columns' names.

    Args:
        text: of the CSV file.

    Returns:
        Cells as they are written.

    Raises:
        RuntimeError: it has no row.
    """
    rows = list(csv.DictReader(text.splitlines()))
    if not rows:
        raise RuntimeError("Vela's summary has no row")
    return {name: value for name, value in rows[-1].items() if isinstance(value, str)}


def operators(content: bytes) -> dict[str, int]:
    """Count the operators of a LiteRT file by name; custom ones by their own."""
    from ethosu.vela.tflite.BuiltinOperator import BuiltinOperator
    from ethosu.vela.tflite.Model import Model

    names = {value: name for name, value in vars(BuiltinOperator).items() if isinstance(value, int)}
    model = Model.GetRootAs(content, 0)
    counted: dict[str, int] = {}
    for g in range(model.SubgraphsLength()):
        graph = model.Subgraphs(g)
        for i in range(graph.OperatorsLength()):
            code = model.OperatorCodes(graph.Operators(i).OpcodeIndex())
            custom = code.CustomCode()
            # Codes below 127 are kept in the older, narrower field as well.
            builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            name = custom.decode() if custom else names.get(builtin, str(builtin))
            counted[name] = counted.get(name, 0) + 1
    return counted


def _version() -> str:
    from importlib.metadata import version

    return version("ethos-u-vela")
