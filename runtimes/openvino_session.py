"""A session of OpenVINO: checked inputs, one inference request per caller at a time."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import EdgekitError, ExecutionError
from edgekit.runtimes import inputs as given
from edgekit.runtimes.gate import Gate
from edgekit.runtimes.protocol import TensorInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from edgekit.runtimes.protocol import Placement

# OpenVINO's first answer about a type makes a table that calls Python: two threads that ask at once wait for each other
# for ever, one with the table's lock and one with Python's. A slow processor meets it every time.
_FIRST = threading.Lock()


class OpenVinoSession:
    """Wraps an `openvino.CompiledModel`; callers that run at the same time get a request each."""

    def __init__(self, raw: Any, name: str, placement: Placement) -> None:
        """Wrap `raw`; `name` is the artifact's, for messages."""
        self._raw: Any = raw
        self._name = name
        self._placement = placement
        with _FIRST:
            self.inputs = tuple(_info(port) for port in raw.inputs)
            self.outputs = tuple(_info(port) for port in raw.outputs)
        self._gate = Gate(name, alone=False)
        self._lock = threading.Lock()
        self._idle: list[Any] = []

    def run(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, npt.NDArray[np.generic]]:
        """Run one inference; see `Session.run`."""
        given.check(self._name, self.inputs, inputs)
        with self._gate, self._request() as request, told(ExecutionError, f"{self._name}: OpenVINO failed"):
            # Copied in and out: a request keeps its tensors, and the next caller's must not be this one's.
            found = request.infer({name: np.ascontiguousarray(array) for name, array in inputs.items()})
            rows = {info.name: np.array(found[i]) for i, info in enumerate(self.outputs)}
        # What its CPU returns, without an error, for inputs of which each is allowed but not all together.
        empty = [name for name, row in rows.items() if not row.size]
        if empty and all(array.size for array in inputs.values()):
            shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
            raise ExecutionError(f"{self._name}: OpenVINO returned nothing for {empty[0]}; do {shapes} fit together?")
        return rows

    def placement(self) -> Placement:
        """Return which node runs where."""
        return self._placement

    def close(self) -> None:
        """Wait for running inferences and free the engine's memory; closing twice is harmless."""
        self._gate.close(self._free)

    def _free(self) -> None:
        self._raw = None
        self._idle.clear()

    @contextmanager
    def _request(self) -> Iterator[Any]:
        """Lend a request: as many as ever ran at once are kept."""
        with self._lock:
            request = self._idle.pop() if self._idle else self._raw.create_infer_request()
        try:
            yield request
        finally:
            with self._lock:
                self._idle.append(request)


@contextmanager
def told(kind: type[ExecutionError], what: str) -> Iterator[None]:
    """Turn OpenVINO's exceptions, which are `RuntimeError` and others, into an error that says what failed.

    Args:
        kind: of the error.
        what: failed, with the artifact's name.

    Yields:
        Nothing.

    Raises:
        ExecutionError: of the `kind`, where the block raised anything that is not edgekit's own.
    """
    try:
        yield
    except EdgekitError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # The first line is where in OpenVINO's source the exception came from.
        reason = " ".join(line for line in lines if not line.startswith("Exception from ")) or type(error).__name__
        raise kind(f"{what}: {reason}") from error


def _info(port: Any) -> TensorInfo:
    shape = tuple(int(size.get_length()) if size.is_static else None for size in port.get_partial_shape())
    return TensorInfo(_name(port), np.dtype(port.get_element_type().to_dtype()).name, shape)


def _name(port: Any) -> str:
    """Return the graph's own name of an input or output, which may have others from nodes that were left out."""
    # An input's node bears it, and so does an output's, with this ending.
    own = str(port.get_node().get_friendly_name()).partition("/sink_port_")[0]
    return own if own in port.get_names() else str(port.get_any_name())
