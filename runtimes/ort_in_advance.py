"""A model that was compiled in advance for one chip: it lies beside its ONNX file, so that the device need not compile.

Two sidecars of ``image.onnx``: ``image.compiled.onnx`` is what the provider compiled ("EP context", the binary inside),
and ``image.compiled.json`` says what it is good for. The ONNX file stays the model: whatever does not fit is told, and
compiled on the device.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING

from edgekit.runtimes import compiled_entry, onnx_context, qnn_chips
from edgekit.runtimes.ort_options import COMPILED_CACHE, PROVIDER

if TYPE_CHECKING:
    from edgekit.runtimes.protocol import Artifact, Placement, SessionSettings

MODEL, FACTS = ".compiled.onnx", ".compiled.json"
"""How the names of the two sidecars end."""
# Options that say how the chip runs a compiled model, and change nothing in it; any other needs a compilation.
# Source: "Configuration Options" of ONNX Runtime's documentation of the QNN provider.
_OF_A_RUN = frozenset({"htp_performance_mode", "rpc_control_latency", "qnn_context_priority", "profiling_level"})


@dataclass(frozen=True)
class InAdvance:
    """What a compiled model is good for.

    Attributes:
        artifact: SHA-256 of the ONNX file that it was compiled from, external data included.
        compiler: name and version of the provider, such as ``onnxruntime-qnn 2.7.0``.
        sdk: version of the chip vendor's libraries in it, such as ``2.51.0``.
        chip: name of the chip, such as ``QCS6490``.
        model: SHA-256 of the compiled file.
    """

    artifact: str
    compiler: str
    sdk: str
    chip: str
    model: str


@dataclass(frozen=True)
class Offer:
    """What there is for a session.

    Attributes:
        model: the compiled ONNX file; None where there is none, or it does not fit.
        placement: which node ran where when it was compiled; None without `model`.
        note: where `model` comes from, or why what there is does not fit; empty where there is nothing.
    """

    model: bytes | None = None
    placement: Placement | None = None
    note: str = ""


def describe(source: Artifact, model: bytes, compiler: str, sdk: str, chip: str, placement: Placement) -> str:
    """Return the facts to put beside a compiled model.

    Args:
        source: the ONNX file that was compiled, with its external data.
        model: the compiled ONNX file, whose binary is inside.
        compiler: name and version of the provider.
        sdk: version of the chip vendor's libraries.
        chip: name of the chip.
        placement: which node ran where when it was compiled.

    Returns:
        JSON.
    """
    found = InAdvance(_digest(source), compiler, sdk, chip, hashlib.sha256(model).hexdigest())
    return json.dumps({**asdict(found), "placement": compiled_entry.plain_nodes(placement)}, indent=1)


def offer(artifact: Artifact, device: str, compiler: str, settings: SessionSettings) -> Offer:
    """Return what was compiled in advance, if it fits this device, provider and session.

    Args:
        artifact: the ONNX file and its sidecars.
        device: of the runtime, such as ``qnn:QCS6490``, or ``qnn`` for the chip that this program runs on.
        compiler: name and version of the provider here.
        settings: of the session.

    Returns:
        The compiled model, or why there is none to use.

    Raises:
        PlacementError: the device names a chip that is not known.
    """
    facts = next((blob for name, blob in artifact.sidecars.items() if name.endswith(FACTS)), None)
    compiled = next((blob for name, blob in artifact.sidecars.items() if name.endswith(MODEL)), None)
    if facts is None or compiled is None:
        return Offer()
    try:
        found, placement = _read(bytes(facts.view))
    except ValueError as error:
        return Offer(note=f"the model compiled in advance cannot be used: {error}")
    model = bytes(compiled.view)
    problem = _misfit(found, device, compiler, settings)
    if not problem and hashlib.sha256(model).hexdigest() != found.model:
        problem = "its file was changed"
    if not problem and _digest(artifact) != found.artifact:
        problem = "it was compiled from another model"
    problem = problem or onnx_context.problem(model)
    if problem:
        return Offer(note=f"the model compiled in advance cannot be used: {problem}")
    return Offer(model, placement, f"compiled in advance for {found.chip} by {found.compiler} (SDK {found.sdk})")


def _misfit(found: InAdvance, device: str, compiler: str, settings: SessionSettings) -> str:
    name = device.partition(":")[2]
    here = qnn_chips.find(name) if name else qnn_chips.here()
    made_for = next((chip for chip in qnn_chips.CHIPS if found.chip in chip.names), None)
    if made_for is None:
        return f"it is for the chip {found.chip}, which this edgekit does not know"
    if here is None:
        return f"it is for {made_for}, and this chip does not say what it is; name it, such as qnn:{found.chip}"
    if here != made_for:
        return f"it is for {made_for}, and this is {here}"
    if compiler != found.compiler:
        return f"{found.compiler} made it, and this is {compiler}"
    given = [
        name for name, _ in settings.options if name != COMPILED_CACHE and name.removeprefix(PROVIDER) not in _OF_A_RUN
    ]
    return f"it was compiled without the option {', '.join(given)}" if given else ""


def _digest(artifact: Artifact) -> str:
    own = {name: blob for name, blob in artifact.sidecars.items() if not name.endswith((MODEL, FACTS))}
    return compiled_entry.digest(replace(artifact, sidecars=own))


def _read(text: bytes) -> tuple[InAdvance, Placement]:
    try:
        found = json.loads(text)
        values = {field.name: compiled_entry.text(found[field.name]) for field in fields(InAdvance)}
        placement = compiled_entry.read_nodes(found["placement"])
        if not placement.nodes:
            raise ValueError("no node")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"its {FACTS[1:]} cannot be read ({type(error).__name__})") from error
    return InAdvance(**values), placement
