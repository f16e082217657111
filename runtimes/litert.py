"""LiteRT (TensorFlow Lite): the CPU, and any external delegate that the user names by its path."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgekit.errors import EdgekitError, ExecutionError, MissingDependencyError, PlacementError
from edgekit.runtimes import (
    litert_defects,
    litert_delegate,
    litert_engine,
    litert_placement,
    litert_settings,
    litert_verify,
)
from edgekit.runtimes.litert_session import LiteRtSession
from edgekit.runtimes.protocol import Artifact, Availability, SessionSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit.runtimes.litert_engine import Engine
    from edgekit.runtimes.litert_placement import Node
    from edgekit.runtimes.litert_settings import LiteRtSettings
    from edgekit.runtimes.protocol import Blob


class LiteRt:
    """The package `ai-edge-litert`, or `tflite-runtime` where that is missing.

    Devices are ``cpu`` and ``delegate:PATH``, PATH being a shared object that exports
    ``tflite_plugin_create_delegate``.
    """

    @property
    def name(self) -> str:
        """``litert``."""
        return "litert"

    @property
    def formats(self) -> frozenset[str]:
        """``tflite``."""
        return frozenset({"tflite"})

    def available(self) -> Availability:
        """Say whether an interpreter can be constructed; the version names the package, as two are possible."""
        try:
            engine = litert_engine.find()
        except MissingDependencyError as error:
            return Availability(ok=False, version="", reason=str(error))
        return Availability(ok=True, version=f"{engine.version} ({engine.package})", reason="")

    def devices(self) -> tuple[str, ...]:
        """Return ``cpu`` and the family ``delegate:``."""
        return ("cpu", litert_settings.FAMILY) if self.available().ok else ()

    def open(self, artifact: Artifact, device: str, settings: SessionSettings) -> LiteRtSession:
        """Open a TensorFlow Lite model; see `Runtime.open`.

        Args:
            artifact: a ``.tflite`` file, which has no sidecars.
            device: ``cpu`` or ``delegate:PATH``.
            settings: threads (0: one per physical core) and options are applied, see `litert_settings.resolve`;
                spinning and arena have no counterpart in this engine and change nothing.

        Returns:
            The session, every node on `device` unless `settings.allow_cpu`.

        Raises:
            ExecutionError: the model is malformed or LiteRT refuses it.
            PlacementError: the device is not offered, or did not take every node.
            InputError: an option is unknown.
        """
        family = litert_settings.FAMILY
        if device != "cpu" and not (device.startswith(family) and device != family):
            raise PlacementError(f"{artifact.name}: LiteRT offers no device {device!r} here, only cpu, {family}PATH")
        try:
            engine = litert_engine.find()
        except MissingDependencyError as error:
            raise PlacementError(f"{artifact.name}: {error}") from error
        resolved = litert_settings.resolve(device, settings)
        with _told(ExecutionError, f"{artifact.name}: LiteRT refused the model"):
            opening = _Opening(engine, artifact, resolved)
            if device == "cpu":
                return opening.on_cpu()
            return opening.on_delegate(device, allow_cpu=settings.allow_cpu)


class _Opening:
    """Everything needed to construct interpreters of one artifact."""

    def __init__(self, engine: Engine, artifact: Artifact, settings: LiteRtSettings) -> None:
        problem = litert_verify.problem(artifact.model.view)
        if problem:
            raise ExecutionError(f"{artifact.name}: LiteRT refused the model: {problem}")
        self._engine, self._name, self._settings = engine, artifact.name, settings
        self._model = _source(artifact.model)

    def on_cpu(self) -> LiteRtSession:
        """Open the model on the CPU."""
        raw = self._interpreter(xnnpack=self._settings.xnnpack)
        model = self._nodes(raw)
        raw.allocate_tensors()
        return LiteRtSession(raw, self._name, litert_placement.placement(raw, model, frozenset(), "cpu"))

    def on_delegate(self, device: str, *, allow_cpu: bool) -> LiteRtSession:
        """Open the model on the delegate that the settings name, and demand that it takes the work."""
        name, library, xnnpack = self._name, self._settings.delegate, self._settings.xnnpack and allow_cpu
        # Opened without any delegate first, for the model's own nodes, and so that a broken model is not blamed on it.
        model = self._nodes(self._interpreter(xnnpack=False))
        delegate = litert_delegate.load(self._engine, library, self._settings.options, name)

        def check(changed: Any) -> None:
            taken = litert_delegate.claims(changed, model)
            litert_delegate.demand(taken, model, library, name, allow_cpu=allow_cpu)

        with _told(PlacementError, f"{name}: the delegate {library} failed on the model"):
            raw = self._interpreter(xnnpack=xnnpack, delegates=[delegate])
            # Before memory is laid out, which is when XNNPACK takes the rest, in nodes that look like this delegate's.
            check(raw)
            placement = litert_placement.placement(raw, model, litert_delegate.claims(raw, model), device)
            raw.allocate_tensors()
        # Each new shape asks the delegate again, and it may answer otherwise; where the CPU may help, that is no error.
        return LiteRtSession(raw, name, placement) if allow_cpu else LiteRtSession(raw, name, placement, check)

    def _interpreter(self, *, xnnpack: bool, delegates: list[Any] | None = None) -> Any:
        module = self._engine.module
        resolver = "AUTO" if xnnpack else "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
        return module.Interpreter(
            **self._model,
            num_threads=self._settings.threads,
            experimental_delegates=delegates,
            experimental_op_resolver_type=getattr(module.OpResolverType, resolver),
        )

    def _nodes(self, raw: Any) -> tuple[Node, ...]:
        """Return the model's nodes from an interpreter without delegates, having looked for what harms this engine."""
        found = litert_placement.nodes(raw)
        problem = litert_defects.problem(self._engine, raw, found)
        if problem:
            raise ExecutionError(f"{self._name}: {problem}")
        return found


@contextmanager
def _told(kind: type[ExecutionError], what: str) -> Iterator[None]:
    """Turn whatever an engine raises, which has no common base, into an error that says what failed."""
    try:
        yield
    except EdgekitError:
        raise
    except Exception as error:
        raise kind(f"{what}: {' '.join(str(error).split()) or type(error).__name__}") from error


def _source(blob: Blob) -> dict[str, Any]:
    """Return how the interpreter gets the model: from its file, which is mapped, else from a copy in memory."""
    # The engine cannot start in the middle of a file, as a member of a bundle needs.
    if blob.path is not None and blob.offset == 0 and _is_whole(blob.path, len(blob.view)):
        return {"model_path": str(blob.path)}
    return {"model_content": bytes(blob.view)}


def _is_whole(path: Path, size: int) -> bool:
    try:
        str(path).encode()
        return path.is_file() and path.stat().st_size == size
    except (OSError, UnicodeEncodeError):
        return False
