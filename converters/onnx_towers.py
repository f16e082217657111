"""Towers that somebody exported to ONNX, turned into contract graphs and checked against the graph as it came."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.bundle.manifest import TensorSpec
from edgekit.converters.export import clean, first_line
from edgekit.converters.graph import checks, store
from edgekit.converters.sources import onnx_folder_opset as opset
from edgekit.converters.sources import onnx_folder_session as sessions
from edgekit.converters.sources import onnx_folder_surgery as surgery
from edgekit.errors import ConversionError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt
    import onnx

    from edgekit.bundle.manifest import ImageSpec
    from edgekit.converters.sources.onnx_folder_surgery import ChannelAxis, MaskRule

# Where a graph has several outputs, the one that other tools put the embedding in, best first.
_IMAGE_OUTPUTS = ("image_embeds", "image_embeddings", "embedding", "pooler_output")
_TEXT_OUTPUTS = ("text_embeds", "text_embeddings", "embedding", "pooler_output")
_IDS, _MASK, _TYPES = "input_ids", "attention_mask", "token_type_ids"
_RULES: tuple[MaskRule, ...] = ("ones", "not_pad", "to_first_pad")
_SAME = 2e-5
# Largest difference of a unit row's component between the graph as it came and the contract graph.
_LIMIT = 1e-3
_FLOATS = ("tensor(float)", "tensor(float16)")
# What a text input may hold; graphs that take a mask or ids as floats exist.
_NUMBERS: dict[str, type[np.generic]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}


@dataclass(frozen=True)
class OnnxImageTower:
    """An exported image tower; satisfies `Tower`.

    Attributes:
        path: the graph as it came.
        spec: preprocessing; size, mean and std are used.
        input: name of its image input.
        output: name of its embedding output.
        uint8: whether it takes unscaled uint8 pixels.
        channel_axis: 1 for (N, 3, H, W), 3 for (N, H, W, 3).
        batch: N where the graph fixes it, else 0.
    """

    path: Path
    spec: ImageSpec
    input: str
    output: str
    uint8: bool
    channel_axis: ChannelAxis
    batch: int

    def reference(self, batch: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Return (N, D) float32 unit rows for uint8 (N, H, W, 3) pixels, from the graph as it came.

        Args:
            batch: the pixels.

        Returns:
            The rows.

        Raises:
            UnsupportedModelError: the graph does not run.
        """
        session = sessions.session(self.path)
        levels: npt.NDArray[np.generic] = batch
        if not self.uint8:
            mean, std = np.asarray(self.spec.mean, np.float32), np.asarray(self.spec.std, np.float32)
            half = session.get_inputs()[0].type == "tensor(float16)"
            scaled = (batch.astype(np.float32) / np.float32(255) - mean) / std
            levels = scaled.astype(np.float16 if half else np.float32)
        planes = levels.transpose(0, 3, 1, 2) if self.channel_axis == 1 else levels
        return sessions.run(session, self.path, self.output, {self.input: np.ascontiguousarray(planes)}, self.batch)

    def export(self, path: Path) -> None:
        """Write the contract graph to `path`, run it, and compare it with the graph as it came.

        Args:
            path: where the graph goes; its weights go beside it, into ``<path name>.data``.

        Raises:
            UnsupportedModelError: the graph cannot be brought to the contract; the message says why.
            ConversionError: the written file computes something else.
        """
        size = (self.spec.height, self.spec.width, 3)
        pixels = np.random.default_rng(1).integers(0, 256, (3, *size), dtype=np.uint8)
        expected = self.reference(pixels)
        model = opset.to_contract(sessions.read(self.path), self.path)
        surgery.isolate(model, self.output)
        surgery.image_input(model, self.input, self.spec, self.channel_axis)
        _finish(model, path, TensorSpec("pixels", "uint8", ("N", *size)), expected, self.path)
        _compare(path, "pixels", pixels, expected, self.batch, self.path)


@dataclass(frozen=True)
class OnnxTextTower:
    """An exported text tower; satisfies `Tower`.

    Attributes:
        path: the graph as it came.
        ids: name of its token input.
        mask: name of its attention mask input, or None.
        types: name of its token type input, or None.
        output: name of its embedding output.
        rule: how the mask follows from the ids.
        pad_id: id of the padding token.
        context_length: L of a padded text.
        fixed_length: whether the graph takes only that length.
        batch: N where the graph fixes it, else 0.
    """

    path: Path
    ids: str
    mask: str | None
    types: str | None
    output: str
    rule: MaskRule
    pad_id: int
    context_length: int
    fixed_length: bool
    batch: int

    def reference(self, batch: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Return (N, D) float32 unit rows for integer (N, L) token ids, from the graph as it came.

        Ids shorter than the context length are padded to it first.

        Args:
            batch: the ids.

        Returns:
            The rows.

        Raises:
            UnsupportedModelError: the graph does not run.
        """
        short = self.context_length - batch.shape[1]
        ids = np.pad(batch.astype(np.int64), ((0, 0), (0, max(0, short))), constant_values=self.pad_id)
        return self._run_with_mask(ids, surgery.mask_of(ids, self.rule, self.pad_id))

    def export(self, path: Path) -> None:
        """Write the contract graph to `path`, run it, and compare it with the graph as it came.

        Args:
            path: where the graph goes; its weights go beside it, into ``<path name>.data``.

        Raises:
            UnsupportedModelError: the graph cannot be brought to the contract; the message says why.
            ConversionError: the written file computes something else.
        """
        ids = np.random.default_rng(1).integers(3, 100, (3, self.context_length), dtype=np.int32)
        ids[1, self.context_length // 2 :] = self.pad_id
        expected = self.reference(ids)
        length: int | str = self.context_length if self.fixed_length else "L"
        model = opset.to_contract(sessions.read(self.path), self.path)
        surgery.isolate(model, self.output)
        surgery.text_input(model, self.ids, self.mask, self.types, self.rule, self.pad_id, length)
        _finish(model, path, TensorSpec("token_ids", "int32", ("N", length)), expected, self.path)
        _compare(path, "token_ids", ids, expected, self.batch, self.path)

    def _run_with_mask(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        session = sessions.session(self.path)
        numbers = {value.name: _NUMBERS[value.type] for value in session.get_inputs()}
        feeds: dict[str, npt.NDArray[np.generic]] = {self.ids: ids.astype(numbers[self.ids])}
        if self.mask is not None:
            feeds[self.mask] = mask.astype(numbers[self.mask])
        if self.types is not None:
            feeds[self.types] = np.zeros_like(ids).astype(numbers[self.types])
        return sessions.run(session, self.path, self.output, feeds, self.batch)


def image_tower(path: Path, spec: ImageSpec) -> OnnxImageTower:
    """Read how an exported image tower is fed.

    Args:
        path: the graph.
        spec: the preprocessing it was trained with.

    Returns:
        The tower.

    Raises:
        InputError: the file is no ONNX graph, or points outside its folder.
        UnsupportedModelError: its inputs or outputs cannot be told apart, or its size is not that of `spec`.
    """
    session = sessions.session(path)
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise UnsupportedModelError(f"{path}: inputs {[i.name for i in inputs]}; one image input was expected")
    value = inputs[0]
    if value.type not in (*_FLOATS, "tensor(uint8)"):
        raise UnsupportedModelError(f"{path}: input '{value.name}' is {value.type}; float or uint8 was expected")
    axis = _channel_axis(path, value)
    height, width = (value.shape[2], value.shape[3]) if axis == 1 else (value.shape[1], value.shape[2])
    for side, found, wanted in (("height", height, spec.height), ("width", width, spec.width)):
        if isinstance(found, int) and found != wanted:
            raise UnsupportedModelError(f"{path}: input '{value.name}' has {side} {found}, the configuration {wanted}")
    batch = value.shape[0] if isinstance(value.shape[0], int) else 0
    output = _output(path, session, _IMAGE_OUTPUTS)
    return OnnxImageTower(path, spec, value.name, output, value.type == "tensor(uint8)", axis, batch)


def text_tower(
    path: Path, context_length: int, pad_id: int, tokenized: Mapping[str, npt.NDArray[np.integer]]
) -> OnnxTextTower:
    """Read how an exported text tower is fed, and find the mask rule that reproduces the tokenizer's own mask.

    Args:
        path: the graph.
        context_length: L of a padded text.
        pad_id: id of the padding token.
        tokenized: ``input_ids`` and ``attention_mask``, integer (N, L), of some padded texts.

    Returns:
        The tower.

    Raises:
        InputError: the file is no ONNX graph, or points outside its folder.
        UnsupportedModelError: its inputs or outputs cannot be told apart, its length is another, or no rule fits.
    """
    session = sessions.session(path)
    inputs = {value.name: value for value in session.get_inputs()}
    ids = next(iter(inputs)) if len(inputs) == 1 else _IDS
    unknown = sorted(set(inputs) - {ids, _MASK, _TYPES})
    if ids not in inputs or unknown:
        raise UnsupportedModelError(
            f"{path}: text inputs {sorted(inputs)}; {_IDS} and optionally {_MASK} and {_TYPES} were expected"
        )
    for value in inputs.values():
        if value.type not in _NUMBERS or len(value.shape) != 2:
            raise UnsupportedModelError(
                f"{path}: input '{value.name}' is {value.type} of shape {value.shape}; numbers of shape (N, L) were "
                "expected"
            )
    batch, length = inputs[ids].shape
    if isinstance(length, int) and length != context_length:
        raise UnsupportedModelError(
            f"{path}: input '{ids}' has length {length}, the tokenizer's settings say {context_length}"
        )
    tower = OnnxTextTower(
        path=path,
        ids=ids,
        mask=_MASK if _MASK in inputs else None,
        types=_TYPES if _TYPES in inputs else None,
        output=_output(path, session, _TEXT_OUTPUTS),
        rule="ones",
        pad_id=pad_id,
        context_length=context_length,
        fixed_length=isinstance(length, int),
        batch=batch if isinstance(batch, int) else 0,
    )
    return tower if tower.mask is None else _with_mask_rule(tower, tokenized)


def _with_mask_rule(tower: OnnxTextTower, tokenized: Mapping[str, npt.NDArray[np.integer]]) -> OnnxTextTower:
    ids, mask = tokenized[_IDS].astype(np.int64), tokenized[_MASK].astype(np.int64)
    expected = tower._run_with_mask(ids, mask)
    errors: dict[str, float] = {}
    for rule in _RULES:
        derived = surgery.mask_of(ids, rule, tower.pad_id)
        errors[rule] = float(np.abs(tower._run_with_mask(ids, derived) - expected).max())
        if np.array_equal(derived, mask) or errors[rule] <= _SAME:
            return replace(tower, rule=rule)
    raise UnsupportedModelError(
        f"{tower.path}: the tokenizer's attention mask does not follow from the token ids "
        f"(largest error by rule: {errors})"
    )


def _finish(
    model: onnx.ModelProto, path: Path, given: TensorSpec, expected: npt.NDArray[np.float32], origin: Path
) -> None:
    surgery.unit_output(model, expected.shape[1])
    clean(model)
    try:
        checks.check_contract(model, given, TensorSpec("embedding", "float32", ("N", expected.shape[1])))
    except ConversionError as error:
        raise UnsupportedModelError(f"{origin}: {error}") from error
    store.save(model, path)
    checks.check_file(path)


def _compare(
    path: Path, name: str, batch: npt.NDArray[np.generic], expected: npt.NDArray[np.float32], fixed: int, origin: Path
) -> None:
    why = f"; the graph as it came takes only batch {fixed}, which is frozen inside it: export it with a free batch"
    try:
        found = sessions.session(path).run(None, {name: batch})[0]
    except Exception as error:
        if fixed:
            raise UnsupportedModelError(f"{origin}: fails at batch {len(batch)}{why} ({first_line(error)})") from error
        raise ConversionError(f"{path.name}: the contract graph cannot be run: {first_line(error)}") from error
    difference = float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")
    if not difference <= _LIMIT:
        text = (
            f"{origin}: the contract graph differs from it by {difference:.2g} at batch {len(batch)} (limit {_LIMIT:g})"
        )
        raise UnsupportedModelError(text + why) if fixed else ConversionError(text)


def _output(path: Path, session: Any, preferred: tuple[str, ...]) -> str:
    outputs = {value.name: value for value in session.get_outputs()}
    name = next(iter(outputs)) if len(outputs) == 1 else next((n for n in preferred if n in outputs), None)
    if name is None:
        raise UnsupportedModelError(
            f"{path}: outputs {sorted(outputs)}; one of {list(preferred)}, or a single output, was expected"
        )
    shape = outputs[name].shape
    if shape and len(shape) != 2:
        raise UnsupportedModelError(
            f"{path}: output '{name}' has shape {shape}; (N, D), one row per input, was expected"
        )
    return str(name)


def _channel_axis(path: Path, value: Any) -> ChannelAxis:
    shape = value.shape
    if len(shape) == 4 and shape[1] == 3 and shape[3] != 3:
        return 1
    if len(shape) == 4 and shape[3] == 3 and shape[1] != 3:
        return 3
    # Exporters that free every axis leave no size; channels first is then what PyTorch wrote.
    if len(shape) == 4 and all(not isinstance(size, int) for size in shape[1:]):
        return 1
    raise UnsupportedModelError(
        f"{path}: input '{value.name}' has shape {shape}; (N, 3, H, W) or (N, H, W, 3) was expected"
    )
