"""What one inference of a tower asks for: arithmetic and bytes, counted from its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import ExecutionError, InputError, MissingDependencyError

if TYPE_CHECKING:
    from edgekit.benchmarks.limits.records import Work
    from edgekit.bundle.manifest import TowerName, TowerRecord, VariantRecord
    from edgekit.bundle.reader import Bundle


def count(bundle: Bundle, variant: str, tower: TowerName, *, batch: int = 1, length: int | None = None) -> Work:
    """Count one inference of a tower.

    Args:
        bundle: opened.
        variant: id.
        tower: to count.
        batch: samples of one inference.
        length: token ids of a text; None takes the bundle's context length.

    Returns:
        The work; its `uncounted` is empty where everything was counted.

    Raises:
        InputError: there is no such variant or tower, or `batch` or `length` is less than 1.
        ExecutionError: files of its format cannot be counted.
        MissingDependencyError: a package that reads the file is not installed.
    """
    for name, size in (("batch", batch), ("length", 1 if length is None else length)):
        if size < 1:
            raise InputError(f"{bundle.where}: {variant}: {name} is {size}; give 1 or more")
    record, chosen = tower_of(bundle, variant, tower), find(bundle, variant)
    shape = input_shape(bundle, record, batch=batch, length=length)
    data = bytes(bundle.read(record.artifact))
    if chosen.format == "onnx":
        from edgekit.benchmarks.limits import count_onnx

        return count_onnx.count(_model(data), {record.input.name: shape})
    if chosen.format == "tflite":
        from edgekit.benchmarks.limits import count_tflite

        return count_tflite.count(data, shape)
    raise ExecutionError(f"{bundle.where}: {record.artifact}: the work of {chosen.format} files cannot be counted")


def find(bundle: Bundle, variant: str) -> VariantRecord:
    """Return a variant by its id; an `InputError` names those that there are."""
    found = next((v for v in bundle.manifest.variants if v.id == variant), None)
    if found is None:
        known = ", ".join(v.id for v in bundle.manifest.variants)
        raise InputError(f"{bundle.where}: has no variant {variant!r}; it has {known}")
    return found


def tower_of(bundle: Bundle, variant: str, tower: TowerName) -> TowerRecord:
    """Return a tower of a variant; an `InputError` where it has none of this name."""
    record = find(bundle, variant).towers.get(tower)
    if record is None:
        raise InputError(f"{bundle.where}: {variant}: has no {tower} tower")
    return record


def input_shape(bundle: Bundle, record: TowerRecord, *, batch: int, length: int | None) -> tuple[int, ...]:
    """Return the shape of a tower's input, free dimensions filled in.

    Args:
        bundle: opened.
        record: the tower; a length that its graph fixes is taken as it is.
        batch: samples.
        length: token ids of a text; None takes the bundle's context length.

    Returns:
        As `record.input.shape` has it.
    """
    # The first free dimension is the batch; a text's other one is its length.
    first, *rest = record.input.shape
    free = length if length is not None else (bundle.manifest.text.context_length if bundle.manifest.text else 1)
    shape = (first if isinstance(first, int) else batch, *(size if isinstance(size, int) else free for size in rest))
    return tuple(int(size) for size in shape)


def _model(data: bytes):  # type: ignore[no-untyped-def]
    try:
        import onnx
    except ImportError as error:
        raise MissingDependencyError('counting needs onnx; pip install "edgekit[bench]"') from error
    return onnx.load_model_from_string(data)
