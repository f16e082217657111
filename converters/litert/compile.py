"""From a portable ONNX master to LiteRT files, each proven against ONNX Runtime before it is delivered."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.bundle.manifest import Agreement, TensorSpec
from edgekit.converters.children import run_child
from edgekit.converters.litert import work
from edgekit.errors import ConversionError, ExecutionError, InputError
from edgekit.fidelity import agreement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from edgekit.converters.quantize.methods.records import TowerDecision
    from edgekit.golden import TowerName

SECONDS = 3600
"""Time limit of one tool; ViT-B/32 takes six minutes."""

_PACKAGE = "edgekit.converters.litert"
_ROWS = 64  # compared; more would cost time and prove nothing new
# What the order of float32 sums may change; a wrong operator is far beyond it.
_MAX_ERROR, _CENTRED = 1e-4, 0.9999


@dataclass(frozen=True)
class TowerShape:
    """The static input of a LiteRT file.

    Attributes:
        sizes: (H, W, 3) of pixels, or (L,) of token ids.
        batch: N.
    """

    sizes: tuple[int, ...]
    batch: int = 1

    @property
    def whole(self) -> tuple[int, ...]:
        """Batch and sizes."""
        return (self.batch, *self.sizes)


@dataclass(frozen=True)
class Compiled:
    """A LiteRT file that was made and checked.

    Attributes:
        input: its one input, static; uint8 pixels (N, H, W, 3) or int32 token_ids (N, L).
        output: its one output, embedding float32 (N, D).
        fidelity: agreement with ONNX Runtime's float embeddings on the samples, at most 64 of them.
        embeddings: float32 (n, D), of those samples, by this file.
        skipped: groups that the decision names and the file has no operator for: tables that are looked up at
            positions which a static length makes constant. What they held is a float32 constant in the file.
        operators: number of operators of each kind.
        toolchain: name and version of each tool that made it.
        size: in bytes.
        seconds: spent on it, checks included.
        peak_bytes: largest memory of a tool.
    """

    input: TensorSpec
    output: TensorSpec
    fidelity: Agreement
    embeddings: npt.NDArray[np.float32] = field(repr=False, compare=False)
    skipped: tuple[str, ...]
    operators: dict[str, int]
    toolchain: dict[str, str]
    size: int
    seconds: float
    peak_bytes: int


def compile_tower(
    master: Path,
    out: Path,
    tower: TowerName,
    spec: TowerShape,
    decision: TowerDecision | None,
    calibration: Sequence[npt.NDArray[np.generic]],
    on_stage: Callable[[str], None] = lambda _: None,
) -> Compiled:
    """Make a LiteRT file of one tower.

    Args:
        master: the float ONNX graph (opset 17), its external data beside it.
        out: the ``.tflite`` file to create or replace; untouched unless every check passes.
        tower: which tower.
        spec: the static shape of the input.
        decision: how groups of weights are stored and computed; None, or one that names no group, gives float32;
            `work.EVERY_GROUP` as the only name stands for every group that the method is for, and
            `work.FULL_INTEGER` as its method for int8 in every operator, attention masks bounded at -30.
        calibration: contract inputs in any batches, two rows or more. The ranges of activations are measured on all of
            them, and the file is compared with ONNX Runtime on the first 64 rows.
        on_stage: called with the name of each stage as it begins.

    Returns:
        What was made.

    Raises:
        InputError: the decision names an unknown group or method, or the samples do not have the shape.
        UnsupportedModelError: an operator, or a method, has no LiteRT form; the message names it.
        MissingDependencyError: a tool is not installed.
        ConversionError: a tool crashed or took too long, the float file disagrees with the master, or the quantized
            file aborts, or returns NaN or another shape.
    """
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as name:
        made = Path(name) / f"float32-{out.name}"
        if decision is not None and decision.smoothing:
            master = _smoothed(Path(name), master, tower, spec, decision, calibration, on_stage)
            decision = replace(decision, smoothing=0.0)
        full = decision is not None and decision.methods.get(work.EVERY_GROUP) == work.FULL_INTEGER
        result = compile_float(master, made, tower, spec, calibration, on_stage, mask=work.MASK if full else None)
        if decision is None or not decision.methods:
            _deliver(made, out)
            return result
        small = Path(name) / f"quantized-{out.name}"
        quantized = quantize_file(master, made, small, tower, spec, decision, calibration, on_stage)
        _deliver(small, out)
    return replace(
        quantized,
        toolchain={**result.toolchain, **quantized.toolchain},
        seconds=round(result.seconds + quantized.seconds, 1),
        peak_bytes=max(result.peak_bytes, quantized.peak_bytes),
    )


def compile_float(
    master: Path,
    out: Path,
    tower: TowerName,
    spec: TowerShape,
    samples: Sequence[npt.NDArray[np.generic]],
    on_stage: Callable[[str], None] = lambda _: None,
    *,
    mask: float | None = None,
) -> Compiled:
    """Make a float32 LiteRT file, of which any number of quantized ones can be made.

    Args:
        master: as for `compile_tower`.
        out: as for `compile_tower`.
        tower: which tower.
        spec: the static shape of the input.
        samples: contract inputs, two rows or more.
        on_stage: called with the name of each stage as it begins.
        mask: least value of attention masks, such as `work.MASK` for int8 in every operator; None leaves the master's.

    Returns:
        What was made.

    Raises:
        ConversionError: as for `compile_tower`.
    """
    request = work.Request("", "", "", (), {}, mask or 0.0, SECONDS)
    return _make("convert_worker", request, master, out, tower, spec, samples, on_stage)


def quantize_file(
    master: Path,
    source: Path,
    out: Path,
    tower: TowerName,
    spec: TowerShape,
    decision: TowerDecision,
    samples: Sequence[npt.NDArray[np.generic]],
    on_stage: Callable[[str], None] = lambda _: None,
) -> Compiled:
    """Quantize what `compile_float` made of the same master at the same shape.

    Args:
        master: as for `compile_tower`.
        source: the float file.
        out: as for `compile_tower`.
        tower: which tower.
        spec: the static shape of the input.
        decision: as for `compile_tower`; names one group or more.
        samples: as `calibration` of `compile_tower`.
        on_stage: called with the name of each stage as it begins.

    Returns:
        What was made.

    Raises:
        InputError: as for `compile_tower`.
        ConversionError: as for `compile_tower`.
    """
    if decision.smoothing:
        raise InputError(
            f"{out.name}: smoothing changes the float file that it is made of; give the decision to compile_tower"
        )
    request = work.Request("", str(source.absolute()), "", (), decision.methods, 0.0, SECONDS)
    return _make("quantize_worker", request, master, out, tower, spec, samples, on_stage)


def _smoothed(
    folder: Path,
    master: Path,
    tower: TowerName,
    spec: TowerShape,
    decision: TowerDecision,
    samples: Sequence[npt.NDArray[np.generic]],
    on_stage: Callable[[str], None],
) -> Path:
    """Write a float master that computes the same with smaller outliers, and return where."""
    out = folder / f"{tower}.onnx"
    request = work.Request(str(master.absolute()), "", str(out), spec.whole, decision.methods, 0.0, SECONDS)
    write_bytes(folder / work.REQUEST, schema.dumps(request).encode())
    np.save(folder / work.SAMPLES, _rows(samples, spec, tower), allow_pickle=False)
    _child("smooth_worker", folder, (str(decision.smoothing),), master.name, on_stage)
    return out


def _make(
    worker: str,
    request: work.Request,
    master: Path,
    out: Path,
    tower: TowerName,
    spec: TowerShape,
    samples: Sequence[npt.NDArray[np.generic]],
    on_stage: Callable[[str], None],
) -> Compiled:
    start = time.monotonic()
    rows = _rows(samples, spec, tower)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as name:
        folder = Path(name)
        made = folder / f"{tower}.tflite"
        request = replace(request, master=str(master.absolute()), out=str(made), shape=spec.whole)
        write_bytes(folder / work.REQUEST, schema.dumps(request).encode())
        np.save(folder / work.SAMPLES, rows, allow_pickle=False)
        _child(worker, folder, (), out.name, on_stage)
        np.save(folder / work.SAMPLES, rows[:_ROWS], allow_pickle=False)
        reference, found = _embed(folder, master, made, out.name, on_stage)
        fidelity = _compare(found, reference, out.name, exact=not request.source)
        facts, size = work.read_facts(folder), made.stat().st_size
        _deliver(made, out)
    given = ("pixels", "uint8") if tower == "image" else ("token_ids", "int32")
    return Compiled(
        input=TensorSpec(*given, spec.whole),
        output=TensorSpec("embedding", "float32", (spec.batch, int(reference.shape[1]))),
        fidelity=fidelity,
        embeddings=found,
        skipped=facts.skipped,
        operators=facts.operators,
        toolchain=facts.toolchain,
        size=size,
        seconds=round(time.monotonic() - start, 1),
        peak_bytes=facts.peak_bytes,
    )


def _rows(samples: Sequence[npt.NDArray[np.generic]], spec: TowerShape, tower: TowerName) -> npt.NDArray[np.generic]:
    wanted = np.dtype(np.uint8 if tower == "image" else np.int32)
    for batch in samples:
        if batch.shape[1:] != spec.sizes or batch.dtype != wanted:
            raise InputError(
                f"samples of the {tower} tower are {batch.dtype} {batch.shape}; {wanted} (n, "
                f"{', '.join(map(str, spec.sizes))}) was expected"
            )
    rows = sum(len(batch) for batch in samples)
    if rows < 2:
        raise InputError(f"the {tower} tower has {rows} samples; give two or more to compare on")
    return np.concatenate(list(samples))


def _embed(
    folder: Path, master: Path, made: Path, name: str, on_stage: Callable[[str], None]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    runs = ("onnxruntime", str(master.absolute()), "reference.npy", "litert", str(made), "found.npy")
    try:
        _child("run_worker", folder, runs, name, on_stage)
    except ExecutionError as error:
        raise ConversionError(f"{name}: the file does not run: {error}") from error
    reference, found = (np.load(folder / runs[i], allow_pickle=False) for i in (2, 5))
    return reference, found


def _compare(
    found: npt.NDArray[np.float32], reference: npt.NDArray[np.float32], name: str, *, exact: bool
) -> Agreement:
    if found.shape != reference.shape or found.dtype != np.float32:
        raise ConversionError(
            f"{name}: returns {found.dtype} {found.shape}, the master {reference.dtype} {reference.shape}"
        )
    if not np.isfinite(found).all():
        raise ConversionError(f"{name}: returns NaN or infinity on {_bad(found)} of {len(found)} samples")
    seen = agreement(found, reference)
    if exact and not (seen.max_error <= _MAX_ERROR and seen.centred_min >= _CENTRED):
        raise ConversionError(
            f"{name}: disagrees with the float master: max error {seen.max_error:.2g}, centred cosine "
            f"{seen.centred_min:.5f} (limits {_MAX_ERROR:g}, {_CENTRED})"
        )
    return seen


def _bad(rows: npt.NDArray[np.float32]) -> int:
    return int((~np.isfinite(rows)).any(axis=1).sum())


def _child(worker: str, folder: Path, arguments: tuple[str, ...], name: str, on_stage: Callable[[str], None]) -> None:
    try:
        run_child(f"{_PACKAGE}.{worker}", folder, arguments, on_stage)
    except ConversionError as error:
        late = f"; it took longer than {SECONDS} s" if "SIGALRM" in str(error) else ""
        raise type(error)(f"{name}: {error}{late}") from error


def _deliver(made: Path, out: Path) -> None:
    made.replace(out)
