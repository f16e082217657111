"""What meters found during a run: energy, and series over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Series:
    """One quantity over the measured part.

    Attributes:
        name: such as ``power VDD_IN`` or ``temperature cpu-thermal``.
        kind: what it is.
        unit: ``W``, ``J`` (a counter since the first sample), ``°C``, ``MHz``, ``%``, ``rpm``, ``MiB``; of kind
            ``throttle`` either ``flag`` (1 while slowed down) or ``count`` (of such events).
        meter: that gave it.
        times: seconds since the measured part began; a sample before it has a negative one.
        values: as many.
    """

    name: str
    kind: Literal["power", "energy", "temperature", "clock", "load", "fan", "throttle", "memory"]
    unit: str
    meter: str
    times: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Baseline:
    """Power of the idle device.

    Attributes:
        watts: mean.
        error: standard error of the mean, in watts.
        n: samples.
    """

    watts: float
    error: float
    n: int


@dataclass(frozen=True)
class Energy:
    """Energy of the measured part.

    Attributes:
        status: ``measured``; ``unmeasured`` where there is no sensor, or it could not be believed: never an estimate.
        reason: why it is unmeasured; empty otherwise.
        meter: name of the meter.
        rail: what the sensor sees, such as ``VDD_IN``.
        scope: ``device`` (all of it), ``package`` (the processor alone), ``accelerator``.
        joules: over exactly the measured part.
        watts: mean over it.
        per_inference: joules for one sample, idle power included.
        per_inference_low: lower end of its 95 % interval.
        per_inference_high: upper end.
        above_idle: joules for one sample, less the idle baseline's.
        before: idle baseline before the run; None where none was taken.
        after: and after it.
        rate: samples a second that were really taken.
        samples: in the measured part.
        sensor_error: relative error that the sensor's documentation states; None where it states none.
        jitter: standard deviation of the time between two samples, over its mean.
    """

    status: Literal["measured", "unmeasured"]
    reason: str
    meter: str = ""
    rail: str = ""
    scope: str = ""
    joules: float | None = None
    watts: float | None = None
    per_inference: float | None = None
    per_inference_low: float | None = None
    per_inference_high: float | None = None
    above_idle: float | None = None
    before: Baseline | None = None
    after: Baseline | None = None
    rate: float | None = None
    samples: int = 0
    sensor_error: float | None = None
    jitter: float | None = None
