"""What a compilation starts from: float masters, contract inputs at their whole length, and the float embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.children import run_child
from edgekit.converters.litert.work import SAMPLES
from edgekit.converters.quantize import data, work
from edgekit.converters.quantize.data import CALIBRATION, GOLDEN, HELD_OUT, SEARCH
from edgekit.golden import TOWERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from edgekit.bundle.manifest import VariantRecord
    from edgekit.bundle.reader import Bundle
    from edgekit.converters.quantize.data import Material
    from edgekit.golden import TowerName

_RUNNER = "edgekit.converters.litert.run_worker"
PARTS = (CALIBRATION, SEARCH, HELD_OUT, GOLDEN)


@dataclass(frozen=True)
class Start:
    """The inputs of a compilation.

    Attributes:
        masters: per tower, the float graph.
        shapes: per tower, the static shape of its input.
        inputs: per tower and part, a file of contract inputs.
        reference: per tower and part, a file of float embeddings; of `SEARCH` and `HELD_OUT`.
        material: what the data is.
    """

    masters: dict[TowerName, Path]
    shapes: dict[TowerName, tuple[int, ...]]
    inputs: dict[TowerName, dict[str, Path]]
    reference: dict[TowerName, dict[str, Path]]
    material: Material


def prepare(
    bundle: Bundle, floats: VariantRecord, where: Path, folder: Path, rows: int, on_stage: Callable[[str], None]
) -> Start:
    """Unpack, divide the data and embed it with the float towers.

    Args:
        bundle: opened.
        floats: its float variant.
        where: the data.
        folder: an empty work folder.
        rows: images held out to prove the result on; a quarter of it is calibrated on, and an eighth is chosen by.
        on_stage: called with the name of each stage.

    Returns:
        Everything that a target needs.

    Raises:
        InputError: the data is unusable or too small.
        ConversionError: the float towers fail here.
    """
    on_stage("unpacking the float towers")
    masters = {tower: _unpack(bundle, floats, tower, folder) for tower in floats.towers if tower in TOWERS}
    on_stage("preparing the data")
    material = data.prepare(bundle, where, folder, data.Limits(max(8, rows // 4), max(8, rows // 8), rows))
    data.prepare_golden(bundle, folder)
    spec = bundle.manifest.image
    shapes: dict[TowerName, tuple[int, ...]] = {
        "image": (1, spec.height, spec.width, 3),
        "text": (1, bundle.text.context_length),
    }
    inputs: dict[TowerName, dict[str, Path]] = {}
    reference: dict[TowerName, dict[str, Path]] = {}
    for tower in TOWERS:
        inputs[tower] = {part: _whole(bundle, folder, tower, part) for part in PARTS}
        reference[tower] = _reference(masters[tower], inputs[tower], on_stage)
    return Start(masters, shapes, inputs, reference, material)


def embed(runtime: str, model: Path, inputs: Path, on_stage: Callable[[str], None]) -> Path:
    """Run inputs through a file on one of edgekit's runtimes, in a child.

    Args:
        runtime: ``onnxruntime`` or ``litert``.
        model: the file.
        inputs: contract inputs, ``.npy``.
        on_stage: called with the name of each stage.

    Returns:
        A file of float32 (n, D) beside the inputs.

    Raises:
        ConversionError: the engine crashed.
        ExecutionError: it refused the file.
    """
    folder = inputs.parent / f"{inputs.stem}.{runtime}"
    folder.mkdir(exist_ok=True)
    (folder / SAMPLES).unlink(missing_ok=True)
    (folder / SAMPLES).symlink_to(inputs.absolute())
    run_child(_RUNNER, folder, (runtime, str(model.absolute()), "rows.npy"), on_stage)
    return folder / "rows.npy"


def _reference(master: Path, inputs: dict[str, Path], on_stage: Callable[[str], None]) -> dict[str, Path]:
    """Embed what is chosen by and what is proven on with the float tower, in one child: starting it takes seconds."""
    parts = {part: np.load(inputs[part]) for part in (SEARCH, HELD_OUT)}
    together = inputs[SEARCH].with_name(f"{master.stem}.reference.npy")
    np.save(together, np.concatenate(list(parts.values())), allow_pickle=False)
    rows = np.load(embed("onnxruntime", master, together, on_stage))
    found, begin = {}, 0
    for part, array in parts.items():
        found[part] = together.with_name(f"{master.stem}.{part}.reference.npy")
        np.save(found[part], rows[begin : begin + len(array)], allow_pickle=False)
        begin += len(array)
    return found


def _unpack(bundle: Bundle, floats: VariantRecord, tower: TowerName, folder: Path) -> Path:
    record, target = floats.towers[tower], work.master(folder, tower)
    target.parent.mkdir(exist_ok=True)
    names = {record.artifact: target.name, **{path: path.rpartition("/")[2] for path in record.sidecars}}
    for path, name in names.items():
        with target.with_name(name).open("wb") as stream:
            stream.write(bundle.read(path))
    return target


def _whole(bundle: Bundle, folder: Path, tower: TowerName, part: str) -> Path:
    """Return a part's inputs at the whole length that a static graph takes."""
    path = work.inputs(folder, tower, part)
    if tower == "image":
        return path
    array: npt.NDArray[np.int32] = np.load(path)
    missing = bundle.text.context_length - array.shape[1]
    np.save(path, np.pad(array, ((0, 0), (0, missing)), constant_values=bundle.text.pad_id), allow_pickle=False)
    return path
