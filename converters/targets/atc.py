"""The command line of Huawei's compiler atc, checked; and atc itself, where it is on the path."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.converters.children import ending, last_lines
from edgekit.errors import ConversionError, InputError

if TYPE_CHECKING:
    from pathlib import Path

# Source: hiascend.com, CANN 8.0 to 9.1, "ATC Instructions": --framework, --soc_version, --precision_mode_v2,
# --op_select_implmode, --input_format.
PRECISIONS = ("fp16", "origin", "cube_fp16in_fp32out", "mixed_float16", "mixed_bfloat16")
IMPLEMENTATIONS = ("high_precision", "high_performance")
FORMATS = ("NCHW", "ND")
_ONNX = "5"
_TENSOR = re.compile(r"[\w./:-]+")
_SOC = re.compile(r"Ascend\w+")
_SECONDS = 3600
_LOG = "atc.log"


@dataclass(frozen=True)
class AtcOptions:
    """What atc is told about a model.

    Attributes:
        soc_version: the chip, as ``npu-smi info`` names it with ``Ascend`` before: ``Ascend310B4``.
        shapes: of every input, by its name.
        precision: one of `PRECISIONS`.
        implementation: one of `IMPLEMENTATIONS`; empty leaves atc's own choice.
        format: of the inputs, one of `FORMATS`.
        insert_op_conf: a file that puts pixels' scaling into the model (AIPP); None for none.
    """

    soc_version: str
    shapes: dict[str, tuple[int, ...]]
    precision: str = "fp16"
    implementation: str = ""
    format: str = "ND"
    insert_op_conf: Path | None = None


def command(model: Path, out: Path, options: AtcOptions) -> list[str]:
    """Return the command line that compiles an ONNX file.

    Args:
        model: the ``.onnx`` file.
        out: the ``.om`` file to write.
        options: see `AtcOptions`.

    Returns:
        Program and arguments.

    Raises:
        InputError: an option has a value that atc does not take; the message names the option.
    """
    _check(out, options)
    shapes = ";".join(f"{name}:{','.join(map(str, shape))}" for name, shape in options.shapes.items())
    found = [
        "atc",
        f"--framework={_ONNX}",
        f"--model={model}",
        f"--output={out.with_suffix('')}",
        f"--soc_version={options.soc_version}",
        f"--input_format={options.format}",
        f"--input_shape={shapes}",
        f"--precision_mode_v2={options.precision}",
    ]
    if options.implementation:
        found.append(f"--op_select_implmode={options.implementation}")
    if options.insert_op_conf is not None:
        found.append(f"--insert_op_conf={options.insert_op_conf}")
    return found


def here() -> bool:
    """Tell whether atc is on the path; CANN's ``set_env.sh`` puts it there."""
    return shutil.which("atc") is not None


def run(model: Path, out: Path, options: AtcOptions) -> Path:
    """Compile an ONNX file.

    Args:
        model: the ``.onnx`` file.
        out: the ``.om`` file to write, in a folder that exists.
        options: see `AtcOptions`.

    Returns:
        `out`.

    Raises:
        InputError: an option has a value that atc does not take.
        ConversionError: atc failed, took too long or wrote nothing; the message has its last lines.
    """
    # It runs in the folder of `out`, where it leaves files of its own.
    line = command(model.absolute(), out.absolute(), options)
    log = out.with_name(_LOG)
    try:
        with log.open("wb") as stream:
            code = subprocess.run(
                line, cwd=out.parent, stdout=stream, stderr=subprocess.STDOUT, timeout=_SECONDS
            ).returncode
    except subprocess.TimeoutExpired as error:
        raise ConversionError(f"atc took longer than {_SECONDS} s; its last lines:\n{last_lines(log)}") from error
    except OSError as error:
        raise ConversionError(f"atc does not start ({error}); source CANN's set_env.sh first") from error
    if code != 0 or not out.is_file():
        how = ending(code) if code else "wrote no model"
        raise ConversionError(f"atc {how}; its last lines:\n{last_lines(log)}")
    return out


def _check(out: Path, options: AtcOptions) -> None:
    if not _SOC.fullmatch(options.soc_version):
        raise InputError(
            f"soc_version: {options.soc_version!r} is no chip; give what 'npu-smi info' calls it, with Ascend before it"
        )
    _one_of("precision_mode_v2", options.precision, PRECISIONS)
    _one_of("input_format", options.format, FORMATS)
    if options.implementation:
        _one_of("op_select_implmode", options.implementation, IMPLEMENTATIONS)
    _check_shapes(options.shapes)
    if options.insert_op_conf is not None and not options.insert_op_conf.is_file():
        raise InputError(f"insert_op_conf: {options.insert_op_conf} is no file")
    if out.suffix != ".om":
        raise InputError(f"output: {out} does not end in .om, which atc appends")


def _check_shapes(shapes: dict[str, tuple[int, ...]]) -> None:
    if not shapes:
        raise InputError("input_shape: no input is given; atc needs the shape of each")
    for name, shape in shapes.items():
        # They stand between its own separators.
        if not _TENSOR.fullmatch(name) or ":" in name:
            raise InputError(f"input_shape: {name!r} cannot stand in atc's list; rename the input")
        if not shape or min(shape) < 1:
            raise InputError(f"input_shape: {name} has the shape {shape}; every length must be 1 or more")


def _one_of(name: str, value: str, values: tuple[str, ...]) -> None:
    if value not in values:
        raise InputError(f"{name}: {value!r} is none of {', '.join(values)}")
