"""Trace a PyTorch module into a clean ONNX model at the contract's opset."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.converters.graph import checks, masks, simplify, store
from edgekit.errors import ConversionError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx
    import torch

    from edgekit.bundle.manifest import TensorSpec


def export_module(
    module: torch.nn.Module, example: torch.Tensor, given: TensorSpec, taken: TensorSpec, folder: Path
) -> onnx.ModelProto:
    """Trace a module of one input and one output, and clean the graph up.

    PyTorch's TorchScript exporter is used: it covers opset 17, which every vendor's compiler reads, and follows
    data-free Python. Attention is traced in its plain form. Afterwards masks are finite, constants are shared
    initializers, and no source path is left in the file.

    Args:
        module: maps `example` to the output; it is put into evaluation mode.
        example: one input, of a shape the named dimensions of `given` allow.
        given: name, type and shape of the input; each named dimension becomes a free one.
        taken: name, type and shape of the output.
        folder: where the exporter may write temporary files of the size of the weights.

    Returns:
        The model with its weights in memory; it satisfies the contract, but has not been run yet.

    Raises:
        UnsupportedModelError: an operator of the module has no ONNX form; the message names it.
        ConversionError: tracing failed, or the traced graph breaks the contract.
    """
    import torch

    names = {
        spec.name: {axis: name for axis, name in enumerate(spec.shape) if isinstance(name, str)}
        for spec in (given, taken)
    }
    module.eval()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as temporary:
        path = Path(temporary) / "graph.onnx"
        try:
            with plain_attention(), _quiet(), torch.no_grad():
                torch.onnx.export(
                    module,
                    (example,),
                    str(path),
                    input_names=[given.name],
                    output_names=[taken.name],
                    dynamic_axes=names,
                    opset_version=checks.OPSET,
                    do_constant_folding=True,
                    dynamo=False,
                )
        except torch.onnx.errors.UnsupportedOperatorError as error:
            raise UnsupportedModelError(
                f"{type(module).__name__}: an operator has no ONNX form at opset {checks.OPSET}: {first_line(error)}"
            ) from error
        except torch.onnx.errors.OnnxExporterError as error:
            raise UnsupportedModelError(f"{type(module).__name__}: cannot be exported: {first_line(error)}") from error
        except (RuntimeError, TypeError, ValueError, AssertionError, IndexError, AttributeError) as error:
            raise ConversionError(f"{type(module).__name__}: tracing failed: {first_line(error)}") from error
        model = store.load(path)
    clean(model)
    _declare_shapes(model, given, taken)
    checks.check_contract(model, given, taken)
    return model


def clean(model: onnx.ModelProto) -> None:
    """Apply the passes every graph needs, in place: exact clean-ups and finite masks."""
    simplify.lift_constants(model)
    simplify.drop_identities(model)
    masks.finite_masks(model)
    simplify.share_initializers(model)
    simplify.drop_unused(model)
    simplify.strip_metadata(model)


@contextlib.contextmanager
def plain_attention() -> Iterator[None]:
    """Keep PyTorch from taking the fused attention path, whose operators cannot be exported, inside the block."""
    import torch

    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def first_line(error: Exception) -> str:
    """Return the first line with any text of an exception's message, or its type's name."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's advice: what it warns of is measured after the export instead."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _declare_shapes(model: onnx.ModelProto, given: TensorSpec, taken: TensorSpec) -> None:
    """State the contract's shapes: the exporter invents names for output dimensions that it could not infer."""
    for value, spec in ((model.graph.input[0], given), (model.graph.output[0], taken)):
        dims = value.type.tensor_type.shape.dim
        del dims[:]
        for size in spec.shape:
            if isinstance(size, int):
                dims.add(dim_value=size)
            else:
                dims.add(dim_param=size)
