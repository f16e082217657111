"""Each method as its own documentation says to use it: a float ONNX graph and calibration inputs in, a file out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.benchmarks.quantization.material import Inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from edgekit.bundle.manifest import VariantRecord
    from edgekit.bundle.reader import Bundle

    Build = Callable[[Path, Path, str, Inputs], None]


REST = "int8_weights"


@dataclass(frozen=True)
class Contender:
    """A way to make a small tower.

    Attributes:
        name: for the table.
        runtime: name of the edgekit runtime that opens its files.
        format: of its files.
        build: (float graph, file to write, tower, calibration inputs) to nothing; may raise anything.
    """

    name: str
    runtime: str
    format: str
    build: Build


def onnx_peers() -> Mapping[str, Build]:
    """Return the peers that write ONNX files, by name."""
    return {
        "onnxruntime quantize_dynamic": _ort_dynamic,
        "onnxruntime quantize_static": _ort_static,
        "nncf.quantize": _nncf,
    }


def calibration(tower: str, inputs: Inputs) -> tuple[npt.NDArray[np.generic], ...]:
    """Return the inputs of one tower."""
    return inputs.pixels if tower == "image" else inputs.padded


def uniform(method: str) -> Build:
    """Return a builder that gives every group this one method of edgekit, and int8 storage where it does not fit."""

    def build(master: Path, out: Path, tower: str, inputs: Inputs) -> None:
        from edgekit.converters.graph import store
        from edgekit.converters.quantize.methods import calibration as ranges_of
        from edgekit.converters.quantize.methods.apply import quantize_tower
        from edgekit.converters.quantize.methods.groups import find_groups
        from edgekit.converters.quantize.methods.records import TowerDecision
        from edgekit.converters.quantize.methods.table import METHODS

        model = store.load(master)
        kinds = METHODS[method].kinds
        decision = TowerDecision({g.name: method if g.kind in kinds else REST for g in find_groups(model)})
        tensors = ranges_of.needed_tensors(model, decision)
        # Without padding, whose activations are no text's.
        batches = inputs.pixels if tower == "image" else inputs.ids
        ranges = ranges_of.measure(master, batches, tensors, "minmax") if tensors else {}
        quantize_tower(master, out, decision, ranges)

    return build


def _ort_dynamic(master: Path, out: Path, tower: str, inputs: Inputs) -> None:
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(str(master), str(out))


def _ort_static(master: Path, out: Path, tower: str, inputs: Inputs) -> None:
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    name = "pixels" if tower == "image" else "token_ids"

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rest: Iterator[npt.NDArray[np.generic]] = iter(calibration(tower, inputs))

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self._rest, None)
            return None if batch is None else {name: batch}

    quantize_static(str(master), str(out), Reader())


def _nncf(master: Path, out: Path, tower: str, inputs: Inputs) -> None:
    import nncf
    import onnx

    name = "pixels" if tower == "image" else "token_ids"
    model = onnx.load(str(master))
    data = nncf.Dataset(calibration(tower, inputs), lambda batch: {name: batch})
    softmax = any(node.op_type == "Softmax" for node in model.graph.node)
    # As NNCF's guide has it: a transformer must be named as one.
    kind = nncf.ModelType.TRANSFORMER if softmax else None
    made = nncf.quantize(model, data, model_type=kind, subset_size=len(calibration(tower, inputs)))
    onnx.save(made, str(out))


def from_bundle(name: str, bundle: Path) -> list[Contender]:
    """Return a contender for each quantized variant of a bundle; nothing is built, its files are copied out."""
    from edgekit.bundle.reader import open_bundle

    opened = open_bundle(bundle)
    made = [variant for variant in opened.manifest.variants if variant.quantization]
    found = []
    for variant in made:
        shown = name if variant.format == "onnx" else f"{name} ({variant.format})"
        # A bundle that was quantized twice holds both; a contender is known by its name.
        if [one.format for one in made].count(variant.format) > 1:
            shown = f"{name} ({variant.id})"
        runtime = "onnxruntime" if variant.format == "onnx" else "litert"
        found.append(Contender(shown, runtime, variant.format, _copied(opened, variant)))
    return found


def _copied(bundle: Bundle, variant: VariantRecord) -> Build:
    def build(master: Path, out: Path, tower: str, inputs: Inputs) -> None:
        record = next(record for name, record in variant.towers.items() if name == tower)
        # External data is found by the name that the model file gives it.
        for path in record.sidecars:
            (out.parent / path.rpartition("/")[2]).write_bytes(bundle.read(path))
        out.write_bytes(bundle.read(record.artifact))

    return build
