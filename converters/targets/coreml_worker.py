"""Runs inside the toolchain ``coreml``, where edgekit is not installed: ONNX to torch, torch to Core ML.

Core ML runs on Apple's systems only. What is proven is the torch module that was converted, with the numbers that the
converted file holds: its weights are read back from it, and float16 is computed as float16.
"""

from __future__ import annotations

import sys
import types
import zipfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.converters.toolchains.launch import Job

_OUTPUT = "projection"
# Smaller tensors stay as they are: biases and scales weigh nothing. It is coremltools' own default.
_LEAST_WEIGHTS = 2048
# The same graph, in the same type; what is left is the order of additions.
_PARITY = 1e-3


def run(job: Job) -> dict[str, Any]:
    """Convert, compare, and compute the rows.

    Args:
        job: its request has the model, the precision, the scaling, and the inputs' files.

    Returns:
        The operators of the converted program, the largest difference between torch and ONNX Runtime, the weights in
        8 bits, and the versions.
    """
    asked = job.request
    job.stage("making a torch module of the graph")
    net, sample = _module(job.folder / asked["model"]), _scaled(asked["search"], asked)[:1]
    difference = _parity(net, _scaled(asked["search"], asked), asked["reference"])
    if not difference <= _PARITY:
        raise job.refused(f"the torch module of the graph differs from it by {difference:.2g}; compile another way")
    job.stage("converting it for Core ML")
    model = _convert(net, sample, asked)
    small = _eight_bits(model) if asked["precision"] == "w8" else None
    model = small or model
    package = job.folder / "tower.mlpackage"
    model.save(str(package))
    _check(package, asked)
    stored = _put_back(net, model) if small else 0
    _zip(package, job.folder / asked["out"])
    for part, path in asked["parts"].items():
        job.stage(f"computing the {part} inputs in torch")
        _save(job.folder / f"{part}.rows.npy", _rows(net, _scaled(path, asked), half=asked["precision"] != "fp32"))
    return {
        "operators": _operators(model),
        "difference": difference,
        "eight_bits": stored,
        "versions": _versions(),
    }


def _module(path: Path) -> Any:
    import onnx

    # onnx2torch imports torchvision for detectors' operators, which no tower has; its wheel does not fit a CPU torch.
    absent, operators = types.ModuleType("torchvision"), types.ModuleType("torchvision.ops")
    for name in ("roi_align", "nms", "box_convert"):
        setattr(operators, name, None)
    absent.ops = operators  # type: ignore[attr-defined]
    sys.modules.setdefault("torchvision", absent)
    sys.modules.setdefault("torchvision.ops", operators)
    from onnx2torch import convert

    _plain_extremes()
    return convert(_readable(onnx.load(path))).eval()


def _readable(model: Any) -> Any:
    """Return the graph as onnx2torch 1.5.15 reads it.

    It looks an input up that is left out at the end, and finds none ("Dynamic value of min/max"); and it cannot flatten
    from axis 0, which a reshape to the shape that is known does.
    """
    import numpy as np
    from onnx import numpy_helper

    values = (*model.graph.value_info, *model.graph.output)
    shapes = {one.name: [dim.dim_value for dim in one.type.tensor_type.shape.dim] for one in values}
    for node in model.graph.node:
        while node.input and not node.input[-1]:
            del node.input[-1]
        if node.op_type == "Flatten" and node.output[0] in shapes:
            name = f"{node.output[0]}.shape"
            shape = np.asarray(shapes[node.output[0]], np.int64)
            model.graph.initializer.append(numpy_helper.from_array(shape, name))
            node.op_type = "Reshape"
            node.input.append(name)
            del node.attribute[:]
    return model


def _plain_extremes() -> None:
    """Let Max and Min be torch.maximum and torch.minimum.

    onnx2torch 1.5.15 asks torch for the common shape, whose trace coremltools 9.0 does not read where one input is a
    scalar: "Concat concat_1 got 0 values".
    """
    from functools import reduce

    import torch
    from onnx2torch.node_converters.min_max import OnnxMinMax

    def plain(module: Any, *tensors: Any) -> Any:
        return reduce(torch.maximum if module._operator is torch.amax else torch.minimum, tensors)

    OnnxMinMax.apply_reduction = plain


def _rows(net: Any, inputs: Any, *, half: bool) -> Any:
    import copy

    import numpy as np
    import torch

    used = copy.deepcopy(net).half() if half else net
    for module in used.modules() if half else ():
        # What the graph turns into float32 is float16 in the program as well.
        if getattr(module, "torch_dtype", None) is torch.float32:
            module.torch_dtype = torch.float16
    found = []
    with torch.no_grad():
        for row in inputs:
            given = torch.from_numpy(row[None])
            given = given.half() if half and given.is_floating_point() else given
            found.append(used(given).float().numpy().reshape(1, -1))
    return np.concatenate(found)


def _parity(net: Any, inputs: Any, reference: str) -> float:
    """Return the largest difference between unit rows of the module and the float rows of ONNX Runtime."""
    import numpy as np

    rows = _rows(net, inputs, half=False)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return float(np.abs(unit - np.load(reference, allow_pickle=False)).max())


def _convert(net: Any, sample: Any, asked: dict[str, Any]) -> Any:
    import coremltools as ct
    import numpy as np
    import torch

    trace: Any = torch.jit.trace  # it has no types of its own
    with torch.no_grad():
        traced = trace(net, torch.from_numpy(sample), check_trace=False)
    precision = ct.precision.FLOAT32 if asked["precision"] == "fp32" else ct.precision.FLOAT16
    return ct.convert(
        traced,
        inputs=[ct.TensorType(name=asked["input"], shape=sample.shape, dtype=sample.dtype.type)],
        outputs=[ct.TensorType(name=_OUTPUT, dtype=np.float32)],
        convert_to="mlprogram",
        minimum_deployment_target=getattr(ct.target, asked["deployment"]),
        compute_precision=precision,
        skip_model_load=True,
    )


def _eight_bits(model: Any) -> Any:
    """Return the program with its weights in 8 bits, a scale for each channel, symmetric."""
    import coremltools.optimize.coreml as cto

    each = cto.OpLinearQuantizerConfig(
        mode="linear_symmetric", dtype="int8", granularity="per_channel", weight_threshold=_LEAST_WEIGHTS
    )
    return cto.linear_quantize_weights(model, config=cto.OptimizationConfig(global_config=each))


def _put_back(net: Any, model: Any) -> int:
    """Give the module the weights that the program holds, and return how many tensors those are."""
    import numpy as np
    import torch

    stored = []
    for function in model._mil_program.functions.values():
        for operation in function.operations:
            if operation.op_type.startswith("constexpr_"):
                values = np.asarray(operation.materialized_val_inference(), np.float32)
                # A mask that was spread out is no weight, and 8 bits hold one value as well as 16 do.
                if np.ptp(values) > 0:
                    stored.append(values)
    count = 0
    with torch.no_grad():
        for tensor in (*net.parameters(), *net.buffers()):
            if not tensor.is_floating_point() or tensor.numel() < _LEAST_WEIGHTS:
                continue
            found = _nearest(tensor.numpy(), stored)
            if found is not None:
                tensor.copy_(torch.from_numpy(found))
                count += 1
    if count < len(stored):
        raise RuntimeError(f"{len(stored)} tensors are in 8 bits, {count} were found in the module")
    return count


def _nearest(weights: Any, stored: list[Any]) -> Any:
    """Return the stored tensor that holds the same weights in 8 bits, perhaps transposed; None where none does."""
    import numpy as np

    limit = np.abs(weights).max() / 100
    for each in stored:
        for form in (each, each.T):
            if form.shape == weights.shape and np.abs(form - weights).max() < limit:
                return np.ascontiguousarray(form)
    return None


def _operators(model: Any) -> dict[str, int]:
    functions = model._mil_program.functions.values()
    names = [one.op_type for function in functions for one in function.operations if one.op_type != "const"]
    return dict(Counter(names).most_common())


def _check(package: Path, asked: dict[str, Any]) -> None:
    """Read the file back, and refuse one whose tensors are not those that the bundle will say."""
    import coremltools as ct

    found = ct.models.MLModel(str(package), skip_model_load=True).get_spec().description
    told = [
        (one.name, list(one.type.multiArrayType.shape), one.type.multiArrayType.dataType)
        for one in (*found.input, *found.output)
    ]
    kinds = ct.proto.FeatureTypes_pb2.ArrayFeatureType
    given = kinds.FLOAT32 if asked["mean"] else kinds.INT32
    if told[0] != (asked["input"], asked["shape"], given) or told[1][::2] != (_OUTPUT, kinds.FLOAT32):
        raise RuntimeError(f"the converted file has other tensors: {told}")


def _zip(folder: Path, out: Path) -> None:
    """Store a package's files as one, without compression and with equal dates: the same model gives the same bytes."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            name = path.relative_to(folder).as_posix()
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), path.read_bytes())


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


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("coremltools", "onnx2torch", "torch")}
