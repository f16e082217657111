"""What could open a bundle here: every variant on every runtime and device, and why the others cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import InputError, RuntimeUnavailableError
from edgekit.judging import Choice
from edgekit.results import Candidate
from edgekit.runtimes import registry

if TYPE_CHECKING:
    from edgekit.bundle.manifest import VariantRecord
    from edgekit.bundle.reader import Bundle
    from edgekit.runtimes.protocol import Runtime

_INSTALL = 'pip install "edgekit[onnx]"'


def list_choices(
    bundle: Bundle, variant: str | None, runtime: str | None, device: str
) -> tuple[list[Choice], list[Candidate]]:
    """List what could be tried, and what could not with the reason.

    Args:
        bundle: opened.
        variant: id of the only variant wanted, or None.
        runtime: name of the only runtime wanted, or None.
        device: the only device wanted, or ``auto``.

    Returns:
        Choices to open and judge, and candidates refused beforehand.

    Raises:
        InputError: the bundle has no such variant.
        RuntimeUnavailableError: there is nothing to try; the message lists the refusals.
    """
    variants = [v for v in bundle.manifest.variants if variant in (None, v.id)]
    if not variants:
        known = ", ".join(v.id for v in bundle.manifest.variants)
        raise InputError(f"{bundle.where}: has no variant {variant!r}; it has {known}")
    runtimes, refused = _runtimes(variants, runtime, device)
    choices: list[Choice] = []
    for engine in runtimes:
        availability = engine.available()
        devices = engine.devices() if availability.ok else ()
        for record in variants:
            if record.format not in engine.formats:
                continue
            if not availability.ok:
                refused.append(Choice(record, engine, "", device).candidate(availability.reason, ran=False))
            elif device not in ("auto", *devices):
                reason = f"{engine.name} offers no device {device!r} here, only {', '.join(devices)}"
                refused.append(Choice(record, engine, availability.version, device).candidate(reason, ran=False))
            else:
                wanted = devices if device == "auto" else (device,)
                choices += [Choice(record, engine, availability.version, name) for name in wanted]
    if not choices:
        raise RuntimeUnavailableError(nothing_works(bundle, refused))
    return choices, refused


def _runtimes(variants: list[VariantRecord], wanted: str | None, device: str) -> tuple[list[Runtime], list[Candidate]]:
    if wanted is not None:
        return [registry.get(wanted)], []
    found: list[Runtime] = []
    refused: list[Candidate] = []
    for name in registry.names():
        try:
            found.append(registry.get(name))
        except RuntimeUnavailableError as error:
            # A broken third-party package is told, and stops nobody else.
            refused += [Candidate(v.id, name, device, False, False, str(error), None, ()) for v in variants]
    return found, refused


def nothing_works(bundle: Bundle, refused: list[Candidate]) -> str:
    """Return the message for when no candidate can be used."""
    if not refused:
        formats = ", ".join(sorted({variant.format for variant in bundle.manifest.variants}))
        return f"{bundle.where}: no runtime registered here opens {formats}; {_INSTALL}"
    return "\n".join([f"{bundle.where}: no variant can be used on this device:", *(f"  {c}" for c in refused)])
