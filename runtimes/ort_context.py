"""Compiled models of ONNX Runtime's plugin providers ("EP context"): made in advance, or kept from the first load."""

from __future__ import annotations

from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import ExecutionError, PlacementError
from edgekit.runtimes import compiled_cache, compiled_entry, ort_kept, ort_plugins
from edgekit.runtimes.compiled_cache import AGAIN, EARLIER
from edgekit.runtimes.compiled_entry import Key
from edgekit.runtimes.ort_options import COMPILED_CACHE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from edgekit.runtimes.ort_in_advance import Offer
    from edgekit.runtimes.ort_plugins import Plugin
    from edgekit.runtimes.protocol import Artifact, Placement, SessionSettings

    class Open(Protocol):
        """Opens the session with further configuration entries, from a compiled model where one is given."""

        def __call__(self, entries: Mapping[str, str], compiled: Path | bytes | None) -> Any:
            """Return the `onnxruntime.InferenceSession`."""


FILE = "context.onnx"
# Source: onnxruntime_session_options_config_keys.h of onnxruntime 1.31. A provider then refuses what it would rather
# compile again; Qualcomm's says so on the chip, and not in its simulator.
_COMPILED = {"session.disable_model_compile": "1", "session.fail_on_suboptimal_compiled_model": "1"}


class NothingFitsError(PlacementError):
    """Nothing that was compiled fits, and nothing may be compiled."""


def key_of(ort: Any, plugin: Plugin, artifact: Artifact, device: str, settings: SessionSettings) -> Key:
    """Return what a provider's compiled model depends on.

    Args:
        ort: the module `onnxruntime`.
        plugin: the provider.
        artifact: the model.
        device: of the runtime, such as ``qnn:QCS6490``.
        settings: of the session; threads, spinning and the arena are the processor's affair.

    Returns:
        The key.

    Raises:
        PlacementError: the device's chip is not known, or the plugin does not load.
    """
    # What finds the chip tells it from its like: a library for several takes the one that is there.
    hardware = {f"{one.device.vendor} {one.device.device_id}" for one in ort_plugins.hardware(ort, plugin)}
    chip = [f"{name}={value}" for name, value in sorted(ort_plugins.options(device, {}).items())]
    options = [*settings.options, ("allow_cpu", str(settings.allow_cpu))]
    return Key(
        artifact=compiled_entry.digest(artifact),
        runtime=f"onnxruntime {ort.__version__}",
        compiler=compiler_of(plugin),
        device=" ".join([device, *chip, *sorted(hardware)]),
        options=" ".join(f"{name}={value}" for name, value in sorted(options) if name != COMPILED_CACHE),
    )


def open_kept(key: Key, device: str, session: Open, offer: Offer, *, only: bool) -> tuple[Any, Placement | None]:
    """Open a model from what was compiled of it in advance or at an earlier load, else compile it and keep that.

    Args:
        key: of the model, see `key_of`.
        device: of the runtime.
        session: opens it.
        offer: what was compiled in advance.
        only: compile nothing.

    Returns:
        The session, and which node runs where, with a note that says what happened.

    Raises:
        ExecutionError: onnxruntime refuses the model.
        NothingFitsError: `only`, and nothing that was compiled fits.
    """
    notes = [offer.note]
    if offer.model is not None and offer.placement is not None:
        try:
            return session(_COMPILED, offer.model), replace(offer.placement, note=offer.note)
        except ExecutionError as error:
            notes = [f"the model compiled in advance does not open ({error})"]
    found = compiled_cache.find(key)
    notes.append(found.note)
    if found.entry is not None:
        try:
            raw = session(_COMPILED, found.entry.folder / FILE)
            return raw, replace(found.entry.placement, note=ort_kept.joined(*notes, EARLIER))
        except ExecutionError as error:
            notes.append(f"the compiled model that was kept does not open ({error}){AGAIN}")
            compiled_cache.remove(found.entry)
    if only:
        known = (
            ort_kept.joined(*(note.removesuffix(AGAIN) for note in notes)) or "nothing was compiled in advance or kept"
        )
        raise NothingFitsError(f"{COMPILED_CACHE}=only lets nothing be compiled on {device}, and {known}")
    if not notes[-1] and notes[0]:
        notes.append("it was compiled here")
    raw, placement, problem = ort_kept.compile_and_keep(
        key,
        device,
        lambda folder: session(_entries(folder / FILE), None),
        lambda folder: (folder / FILE).exists(),
        lambda: session({}, None),
    )
    return raw, ort_kept.noted(placement, *notes, problem)


def _entries(path: Path) -> dict[str, str]:
    # Source: onnxruntime_session_options_config_keys.h of onnxruntime 1.31, "ep.context_…". The binary lies beside the
    # graph, from where a provider can map it instead of copying it.
    return {"ep.context_enable": "1", "ep.context_file_path": str(path), "ep.context_embed_mode": "0"}


def compiler_of(plugin: Plugin) -> str:
    """Return what tells a provider's library from another version of it."""
    if plugin.library.startswith("["):
        module = plugin.library[1:-1]
        found = _distribution(module)
        return f"{found.metadata['Name']} {found.version}"
    state = Path(plugin.library).stat()
    return f"{plugin.library} of {state.st_size} bytes, {state.st_mtime_ns}"


def _distribution(module: str) -> metadata.Distribution:
    try:
        return metadata.distribution(module)
    except metadata.PackageNotFoundError:
        # One of another name: looking through everything that is installed takes a tenth of a second.
        return metadata.distribution(metadata.packages_distributions().get(module, [module])[0])
