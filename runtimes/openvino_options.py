"""Settings that only OpenVINO has, by name: what `SessionSettings.options` may hold for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.runtimes import engines

if TYPE_CHECKING:
    from edgekit.runtimes.protocol import SessionSettings

# Source of the properties: OpenVINO 2026 documentation, "Inference Devices and Modes", "Precision Control".
OPTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "execution_mode": ("EXECUTION_MODE_HINT", {"accuracy": "ACCURACY", "performance": "PERFORMANCE"}),
    "performance_hint": ("PERFORMANCE_HINT", {"latency": "LATENCY", "throughput": "THROUGHPUT"}),
}
"""Per option, OpenVINO's property and the values it takes.

``execution_mode=accuracy``, the default here, computes in the model's own types; ``performance`` lets processors with
bfloat16 or float16 arithmetic use it, whatever that does to the embedding.
"""


def resolve(settings: SessionSettings, device: str) -> dict[str, str]:
    """Return OpenVINO's properties for a session.

    Args:
        settings: of the session.
        device: of the runtime.

    Returns:
        Properties by name.

    Raises:
        InputError: an option or a value is unknown, or an option stands twice; the message names the known ones.
    """
    found = {"EXECUTION_MODE_HINT": "ACCURACY", "PERFORMANCE_HINT": "LATENCY"}
    if settings.threads and (device == "cpu" or settings.allow_cpu):
        found["INFERENCE_NUM_THREADS"] = str(settings.threads)
    takes = {name: tuple(values) for name, (_, values) in OPTIONS.items()}
    for name, value in engines.named_options("OpenVINO", takes, settings.options).items():
        known, values = OPTIONS[name]
        found[known] = values[value]
    return found
