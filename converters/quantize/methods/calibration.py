"""Measure the values that activations take over calibration data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import onnx

from edgekit.converters.quantize.methods import histograms, observers
from edgekit.converters.quantize.methods.apply import choices
from edgekit.converters.quantize.methods.editor import Editor
from edgekit.converters.quantize.methods.groups import find_regions
from edgekit.errors import ConversionError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from edgekit.converters.quantize.methods.records import Range, TowerDecision

How = Literal["minmax", "percentile", "entropy"]

_CHUNK_BYTES = 256 * 2**20
"""Activations that are held at a time."""


def needed_tensors(model: onnx.ModelProto, decision: TowerDecision) -> tuple[str, ...]:
    """Name the tensors whose ranges a decision needs, in the order in which they are computed.

    Args:
        model: the float tower; its weights may be outside.
        decision: what is to be done; with smoothing, also the inputs of the products that are computed in integers.

    Returns:
        Names without repetition.

    Raises:
        InputError: as `apply.choices`.
    """
    regions = {region.group.name: region for region in find_regions(model)}
    editor = Editor(model)
    found: dict[str, None] = {}
    for group, method in choices([region.group for region in regions.values()], decision):
        found.update(dict.fromkeys(method.tensors(editor, regions[group.name])))
        if decision.smoothing > 0 and method.smooths:
            nodes = [editor.node(key) for key in group.nodes]
            found.update({node.input[0]: None for node in nodes if node.op_type in ("MatMul", "Gemm")})
    order = {name: i for i, node in enumerate(model.graph.node) for name in node.output}
    return tuple(sorted(found, key=lambda name: order.get(name, -1)))


def measure(
    master: Path, batches: Iterable[npt.NDArray[np.generic]], tensors: Sequence[str], how: How
) -> dict[str, Range]:
    """Run the float tower and measure tensors.

    The same batches give the same ranges, to the bit. Extremes are taken inside the graph; ``percentile`` and
    ``entropy`` run the batches again and count values in 2048 bins, on as many tensors at a time as fit 256 MB.

    Args:
        master: the float graph, its external data beside it.
        batches: inputs of the tower, at least one: uint8 (N, H, W, 3) RGB pixels, or int32 (N, L) token ids.
        tensors: names, of float tensors; the tower's own output is allowed.
        how: ``minmax`` takes the extremes; ``percentile`` leaves out 0.005 % of the values at either end (99.99 %
            stay); ``entropy`` cuts the magnitude where the histogram of 255 levels tells least apart from the full one
            (Kullback-Leibler divergence; Migacz 2017, "8-bit inference with TensorRT").

    Returns:
        One range for each name.

    Raises:
        InputError: there is no batch, a tensor does not exist, or `how` is unknown.
        ConversionError: a tensor is not finite on the calibration data, or the graph cannot be run.
    """
    if how not in ("minmax", "percentile", "entropy"):
        raise InputError(f"calibration {how!r} is not one of minmax, percentile, entropy")
    batches = list(batches)
    if not batches:
        raise InputError("calibration needs at least one input; give data with images and texts")
    if not tensors:
        return {}
    model = _read(master)
    _check_known(model, tensors)
    spans, sizes = _extremes(master, model, batches, tensors)
    if how == "minmax":
        return spans
    cut = histograms.percentile if how == "percentile" else histograms.entropy
    for chunk in _chunks(tensors, sizes):
        counts = {name: histograms.Histogram.empty(spans[name].low, spans[name].high) for name in chunk}
        for values in _runs(master, model, batches, chunk):
            for name, value in zip(chunk, values, strict=True):
                counts[name].add(value)
        for name in chunk:
            low, high = cut(counts[name])
            spans[name] = replace(spans[name], low=low, high=high)
    return spans


def _read(master: Path) -> onnx.ModelProto:
    try:
        return onnx.load(str(master), load_external_data=False)
    except Exception as error:
        raise ConversionError(f"{master}: not a readable ONNX graph ({error})") from error


def _check_known(model: onnx.ModelProto, tensors: Sequence[str]) -> None:
    known = {name for node in model.graph.node for name in node.output}
    known.update(value.name for value in model.graph.input)
    for name in tensors:
        if name not in known:
            raise InputError(f"tensor '{name}' is not in the graph; name one that a node writes")


def _extremes(
    master: Path, model: onnx.ModelProto, batches: Sequence[npt.NDArray[np.generic]], tensors: Sequence[str]
) -> tuple[dict[str, Range], dict[str, int]]:
    """Return each tensor's range, and its largest number of elements in a batch."""
    seen = [observers.Observer(model, name, f"edgekit{i}") for i, name in enumerate(tensors)]
    measured = onnx.ModelProto.FromString(model.SerializeToString())
    measured.graph.node.extend(node for one in seen for node in one.nodes)
    outputs = [name for one in seen for name in one.outputs]
    for values in _runs(master, measured, batches, outputs):
        found = dict(zip(outputs, values, strict=True))
        for one in seen:
            one.take(found)
    return {one.name: one.range() for one in seen}, {one.name: one.size for one in seen}


def _chunks(tensors: Sequence[str], sizes: dict[str, int]) -> Iterator[list[str]]:
    chunk: list[str] = []
    total = 0
    for name in tensors:
        if chunk and total + 4 * sizes[name] > _CHUNK_BYTES:
            yield chunk
            chunk, total = [], 0
        chunk.append(name)
        total += 4 * sizes[name]
    yield chunk


def _runs(
    master: Path, model: onnx.ModelProto, batches: Sequence[npt.NDArray[np.generic]], outputs: Sequence[str]
) -> Iterator[list[npt.NDArray[np.float32]]]:
    """Yield the values of `outputs` for each batch."""
    import onnxruntime

    asked = onnx.ModelProto.FromString(model.SerializeToString())
    present = {output.name for output in asked.graph.output}
    asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs if name not in present)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1  # sums are then taken in one order, and ranges repeat to the bit
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(master.parent))
    given = model.graph.input[0].name
    try:
        session = onnxruntime.InferenceSession(asked.SerializeToString(), options, providers=["CPUExecutionProvider"])
        for batch in batches:
            yield session.run(list(outputs), {given: batch})
    except Exception as error:
        raise ConversionError(f"{master}: calibration cannot run the float tower: {error}") from error
