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

FAMILY = ":"
_INSTALL = 'pip install "edgekit[onnx]"'


def list_choices(
    bundle: Bundle, variant: str | None, runtime: str | None, device: str
) -> tuple[list[Choice], list[Candidate]]:
    """List what could be tried, and what could not with the reason.

    Args:
        bundle: opened.
        variant: id of the only variant wanted, or None.
        runtime: name of the only runtime wanted, or None.
        device: the only device wanted, or ``auto``; a member of a family, such as ``delegate:/path.so``, is one that
            must be named to be tried.

    Returns:
        Choices to open and judge, the most promising first: variants whose fidelity was measured on named data, then
        the manifest's order; and candidates refused beforehand: of engines that are not installed, those whose variant
        no other opens here (`not_installed` names the rest).

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
    absent: list[Candidate] = []
    for engine in runtimes:
        opens = [record for record in variants if record.format in engine.formats]
        if not opens:
            # Asking imports an engine, which a load of another's format need not wait for.
            continue
        availability = engine.available()
        devices = engine.devices() if availability.ok else ()
        for record in opens:
            if not availability.ok:
                absent.append(Choice(record, engine, "", device).candidate(availability.reason, ran=False))
            elif wanted := _wanted(device, devices):
                choices += [Choice(record, engine, availability.version, name) for name in wanted]
            else:
                reason = _lacking(engine, device) or _no_device(engine.name, device, devices)
                refused.append(Choice(record, engine, availability.version, device).candidate(reason, ran=False))
    # An engine that is not installed is no news where another opens the same variant.
    opened = {choice.variant.id for choice in choices}
    refused += [candidate for candidate in absent if candidate.variant not in opened]
    if not choices:
        raise RuntimeUnavailableError(nothing_works(bundle, refused))
    order = {record.id: (record.fidelity is None, i) for i, record in enumerate(variants)}
    return sorted(choices, key=lambda choice: order[choice.variant.id]), refused


def not_installed(bundle: Bundle) -> tuple[str, ...]:
    """Return the registered runtimes that would open a variant of a bundle, and whose engine is absent here."""
    return tuple(dict.fromkeys(candidate.runtime for candidate in _absent(bundle)))


def _absent(bundle: Bundle) -> list[Candidate]:
    formats = {variant.format for variant in bundle.manifest.variants}
    engines, _ = _runtimes([], None, "")
    # Only those that could open it are asked: asking imports an engine, on every load.
    able = [engine for engine in engines if engine.formats & formats]
    missing = [(engine, state) for engine in able if not (state := engine.available()).ok]
    return [
        Candidate(variant.id, engine.name, "auto", False, False, state.reason, None, ())
        for engine, state in missing
        for variant in bundle.manifest.variants
        if variant.format in engine.formats
    ]


def _wanted(device: str, offered: tuple[str, ...]) -> tuple[str, ...]:
    """Return the devices to try; a family's members are too many to try, so none competes unless it is named."""
    if device == "auto":
        return tuple(name for name in offered if not name.endswith(FAMILY))
    families = tuple(name for name in offered if name.endswith(FAMILY))
    member = device.startswith(families) and device not in families
    return (device,) if member or (device in offered and device not in families) else ()


def _lacking(engine: Runtime, device: str) -> str:
    """Return what an engine's device needs that is not here, from an engine that can tell; empty otherwise."""
    told = getattr(engine, "lacking", None)
    return str(told(device)) if callable(told) else ""


def _no_device(engine: str, device: str, offered: tuple[str, ...]) -> str:
    shown = ", ".join(f"{name}PATH" if name.endswith(FAMILY) else name for name in offered) or "none"
    if device == "auto":
        return f"{engine} offers no device that competes by itself; name one: {shown}"
    return f"{engine} offers no device {device!r} here, only {shown}"


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
    """Return the message for when no candidate can be used; engines that are not installed are named in it too."""
    told = {candidate.runtime.partition(" ")[0] for candidate in refused}
    refused = [*refused, *(one for one in _absent(bundle) if one.runtime not in told)]
    if not refused:
        formats = ", ".join(sorted({variant.format for variant in bundle.manifest.variants}))
        return f"{bundle.where}: no runtime registered here opens {formats}; {_INSTALL}"
    return "\n".join([f"{bundle.where}: no variant can be used on this device:", *(f"  {c}" for c in refused)])
