"""What a scenario drives, and what it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt


class Workload(Protocol):
    """What a query does. `query` may be called from several threads at once."""

    @property
    def samples(self) -> int:
        """Distinct samples there are."""

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the parts of a query, in their order, such as ``decode``, ``preprocess``, ``inference``."""

    def query(self, indices: Sequence[int]) -> tuple[int, ...]:
        """Do one query.

        Args:
            indices: of the samples, each in 0..samples-1; as many as the batch.

        Returns:
            Nanoseconds of each stage.

        Raises:
            EdgekitError: the work failed.
        """


@dataclass(frozen=True)
class Trace:
    """Every query of the measured part.

    Attributes:
        begin: `time.perf_counter_ns` at the begin of the measured part.
        end: and at its end, when the last query had ended.
        issued: (n,) int64, nanoseconds since `begin` at which each query arrived (server: was due; else: was issued).
        ended: (n,) int64, nanoseconds since `begin` at which it ended.
        stages: (n, stages) int64, nanoseconds of each stage.
        batch: samples of each query (multi-stream: the plan's `streams * batch`, which is one query there).
    """

    begin: int
    end: int
    issued: npt.NDArray[np.int64]
    ended: npt.NDArray[np.int64]
    stages: npt.NDArray[np.int64]
    batch: int
