"""NVIDIA's Jetson families, as data: what the TensorRT of their JetPack reads, and what their hardware computes in."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.errors import InputError


@dataclass(frozen=True)
class Widened:
    """An operator whose input type a TensorRT does not take: it is converted before, and converted back after.

    Attributes:
        op: operator.
        given: type of its first input, by ONNX's name.
        taken: type it gets instead, which holds every value of a tower's ids and masks exactly.
    """

    op: str
    given: str
    taken: str


@dataclass(frozen=True)
class JetsonChip:
    """One family of boards.

    Attributes:
        name: as the user gives it.
        tool_name: product, GPU and compute capability.
        tensorrt: the version whose reader the graph is written for; newer ones read it too.
        table: name of the table of that reader's operators.
        opset: of the graph.
        layer_norm: whether LayerNormalization stays one operator.
        uint8_input: whether a network may take uint8.
        int8: whether the GPU multiplies int8 faster than float16.
        stored_int8: whether weights may be stored as int8; otherwise TensorRT quantizes float weights by their scales.
        dla: deep-learning accelerators on the board.
        widened: operators whose input type must change.
        sources: where each fact is documented.
    """

    name: str
    tool_name: str
    tensorrt: str
    table: str
    opset: int
    layer_norm: bool
    uint8_input: bool
    int8: bool
    stored_int8: bool
    dla: int
    widened: tuple[Widened, ...]
    sources: tuple[str, ...]


# ArgMax takes integers of 64 bits from onnx-tensorrt 9.2 on; ids are below 2**24, which float32 holds exactly.
_ARG_MAX = tuple(Widened("ArgMax", given, "FLOAT") for given in ("INT32", "INT64"))
# The 8.2 table gives Gather FP32, FP16, INT8 and INT32 alone.
_GATHER = (Widened("Gather", "BOOL", "INT32"),)
_PRECISIONS = "TensorRT support matrix, 'Hardware and Precision'"

CHIPS = (
    JetsonChip(
        name="jetson-nano",
        tool_name="Jetson Nano (Maxwell, compute capability 5.3)",
        tensorrt="8.2",
        table="tensorrt-8.2",
        opset=13,
        layer_norm=False,
        uint8_input=False,
        int8=False,
        stored_int8=False,
        dla=0,
        widened=(*_ARG_MAX, *_GATHER),
        sources=(
            "JetPack 4.6.1 release notes: TensorRT 8.2 (4.6 has 8.0)",
            "onnx-tensorrt 8.2 docs/operators.md: operator sets up to 13, no LayerNormalization, no UINT8",
            f"{_PRECISIONS} of 8.2: compute capability 5.3 has FP16 and no INT8",
        ),
    ),
    JetsonChip(
        name="jetson-xavier",
        tool_name="Jetson Xavier (Volta, compute capability 7.2)",
        tensorrt="8.5",
        table="tensorrt-8.5",
        opset=17,
        layer_norm=False,
        uint8_input=True,
        int8=True,
        stored_int8=False,
        dla=2,
        widened=_ARG_MAX,
        sources=(
            "JetPack 5.1 release notes: TensorRT 8.5",
            "onnx-tensorrt 8.5 docs/operators.md: operator sets up to 17, LayerNormalization not supported",
            "onnx-tensorrt changelog, 8.5 GA: networks with UINT8 inputs",
            f"{_PRECISIONS} of 8.5: compute capability 7.2 has FP16, INT8 and DLA",
        ),
    ),
    JetsonChip(
        name="jetson-orin",
        tool_name="Jetson Orin (Ampere, compute capability 8.7)",
        tensorrt="8.6",
        table="tensorrt-8.6",
        opset=17,
        layer_norm=True,
        uint8_input=True,
        int8=True,
        stored_int8=False,
        dla=2,
        widened=(_ARG_MAX[1],),
        sources=(
            "JetPack 6.0 release notes: TensorRT 8.6; 6.1: TensorRT 10.3",
            "onnx-tensorrt 8.6 docs/operators.md: operator sets up to 17, LayerNormalization, ArgMax of INT32",
            f"{_PRECISIONS} of 8.6: compute capability 8.7 has FP16, INT8 and DLA",
        ),
    ),
    JetsonChip(
        name="jetson-thor",
        tool_name="Jetson Thor (Blackwell, compute capability 11.0)",
        tensorrt="10.13",
        table="tensorrt",
        opset=17,
        layer_norm=True,
        uint8_input=True,
        int8=True,
        stored_int8=True,
        dla=0,
        widened=(),
        sources=(
            "JetPack 7.0 release notes: TensorRT 10.13; the operators are those of the older 10.1",
            "TensorRT documentation, 'Explicit Quantization': weights in INT8 before a DequantizeLinear",
            "TensorRT documentation, 'Working with DLA': none on Jetson Thor",
        ),
    ),
)


def find(name: str) -> JetsonChip:
    """Return a family by its name.

    Args:
        name: such as ``jetson-orin``.

    Returns:
        Its facts.

    Raises:
        InputError: there is none of that name.
    """
    for chip in CHIPS:
        if chip.name == name:
            return chip
    raise InputError(f"target: {name!r} is not one of {', '.join(chip.name for chip in CHIPS)}")
