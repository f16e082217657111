"""A session of LiteRT: checked inputs, one inference at a time, placement from the interpreter's nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import EdgekitError, ExecutionError
from edgekit.runtimes import inputs as given
from edgekit.runtimes.gate import Gate
from edgekit.runtimes.protocol import TensorInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from edgekit.runtimes.protocol import Placement


class LiteRtSession:
    """Wraps an interpreter, which can do one thing at a time: `run` may be called from several threads, and queues."""

    def __init__(
        self, raw: Any, name: str, placement: Placement, check: Callable[[Any], None] = lambda _: None
    ) -> None:
        """Wrap `raw`, whose memory is laid out; `name` is the artifact's, `check` sees `raw` after each new layout."""
        self._raw: Any = raw
        self._check = check
        self._name = name
        self._placement = placement
        signature = _signature(raw, name)
        inputs, outputs = raw.get_input_details(), raw.get_output_details()
        self.inputs = _infos(inputs, signature.get("inputs", {}))
        self.outputs = _infos(outputs, signature.get("outputs", {}))
        self._input_ids = dict(zip((i.name for i in self.inputs), (int(d["index"]) for d in inputs), strict=True))
        self._output_ids = dict(zip((o.name for o in self.outputs), (int(d["index"]) for d in outputs), strict=True))
        # The shapes that memory is laid out for; unknown after a failure.
        self._laid_out: dict[str, tuple[int, ...]] = {}
        self._gate = Gate(name, alone=True)

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
        """Run one inference; see `Session.run`."""
        given.check(self._name, self.inputs, inputs)
        with self._gate:
            try:
                self._lay_out({name: array.shape for name, array in inputs.items()})
                for name, array in inputs.items():
                    self._raw.set_tensor(self._input_ids[name], np.ascontiguousarray(array))
                self._raw.invoke()
                return {name: self._raw.get_tensor(number) for name, number in self._output_ids.items()}
            except EdgekitError:
                raise
            except Exception as error:
                # Whatever failed, the next inference starts from a fresh layout.
                self._laid_out = {}
                raise ExecutionError(f"{self._name}: LiteRT failed: {' '.join(str(error).split())}") from error

    def placement(self) -> Placement:
        """Return which of the model's nodes runs where; XNNPACK is the CPU."""
        return self._placement

    def close(self) -> None:
        """Wait for the running inference and free the engine's memory; closing twice is harmless."""
        self._gate.close(self._free)

    def _free(self) -> None:
        self._raw = None

    def _lay_out(self, shapes: dict[str, tuple[int, ...]]) -> None:
        if shapes == self._laid_out:
            return
        self._laid_out = {}
        for info in self.inputs:
            if None in info.shape:
                self._raw.resize_tensor_input(self._input_ids[info.name], shapes[info.name], strict=True)
        self._raw.allocate_tensors()
        self._check(self._raw)
        self._laid_out = shapes


def _signature(raw: Any, name: str) -> dict[str, dict[str, int]]:
    """Return the names that the model's one signature gives to tensors; empty when it has none."""
    signatures = raw._get_full_signature_list()
    if len(signatures) > 1:
        raise ExecutionError(f"{name}: the model has the signatures {sorted(signatures)}; convert it again with one")
    found: dict[str, dict[str, int]] = next(iter(signatures.values()), {})
    return found


def _infos(details: list[dict[str, Any]], names: Mapping[str, int]) -> tuple[TensorInfo, ...]:
    by_id = {number: name for name, number in names.items()}
    return tuple(
        TensorInfo(
            by_id.get(int(detail["index"]), str(detail["name"])),
            np.dtype(detail["dtype"]).name,
            tuple(None if size < 0 else int(size) for size in detail["shape_signature"]),
        )
        for detail in details
    )
