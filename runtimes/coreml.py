"""Core ML: Apple's CPUs, GPUs and Neural Engines, on macOS."""

from __future__ import annotations

import io
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from edgekit.errors import ExecutionError, MissingDependencyError, PlacementError
from edgekit.runtimes import coreml_session, engines
from edgekit.runtimes.coreml_session import CoreMlSession
from edgekit.runtimes.protocol import Artifact, Availability, SessionSettings

if TYPE_CHECKING:
    from edgekit.runtimes.protocol import Placement

INSTALL = "pip install coremltools"
_SYSTEM = "darwin"
_SHOWN = 5
# coremltools.ComputeUnit; the system may always use the CPU beside the other.
_UNITS = {"ane": "CPU_AND_NE", "gpu": "CPU_AND_GPU", "cpu": "CPU_ONLY"}


class CoreMl:
    """The package `coremltools`. A device is ``ane`` (the Neural Engine), ``gpu`` or ``cpu``.

    Written from Apple's documentation and tested with a stand-in for its library: no Mac was at hand.
    """

    @property
    def name(self) -> str:
        """``coreml``."""
        return "coreml"

    @property
    def formats(self) -> frozenset[str]:
        """``mlpackage``."""
        return frozenset({"mlpackage"})

    def available(self) -> Availability:
        """Say whether this is macOS, and coremltools can be imported."""
        try:
            return Availability(ok=True, version=str(_library().__version__), reason="")
        except MissingDependencyError as error:
            return Availability(ok=False, version="", reason=str(error))

    def devices(self) -> tuple[str, ...]:
        """Return the ways to choose a processor; a Mac without a Neural Engine plans ``ane`` on its CPU."""
        return tuple(_UNITS) if self.available().ok else ()

    def open(self, artifact: Artifact, device: str, settings: SessionSettings) -> CoreMlSession:
        """Open a converted model; see `Runtime.open`.

        Args:
            artifact: the files of a ``.mlpackage`` in one zip.
            device: one of `devices`.
            settings: without ``allow_cpu``, the system must plan every operator on `device`; the others have no
                counterpart in this engine and change nothing.

        Returns:
            The session.

        Raises:
            ExecutionError: the file is malformed, or Core ML refuses it.
            PlacementError: the device is not offered here, or the system plans operators elsewhere.
        """
        if device not in self.devices():
            offered = ", ".join(self.devices()) or "none"
            raise PlacementError(f"{artifact.name}: Core ML offers no device {device!r} here, only {offered}")
        library = _library()
        # Deleted by the session: the system reads the package's weights as long as the model lives.
        folder = tempfile.TemporaryDirectory(prefix="edgekit-")
        try:
            package = unpack(artifact, Path(folder.name))
            unit = getattr(library.ComputeUnit, _UNITS[device])
            try:
                model = library.models.MLModel(str(package), compute_units=unit)
                planned = coreml_session.planned(library, model, unit)
            except Exception as error:
                told = " ".join(str(error).split())
                raise ExecutionError(f"{artifact.name}: Core ML on {device} refused the model: {told}") from error
            if not settings.allow_cpu:
                _strict(planned, device, artifact.name)
            return CoreMlSession(model, artifact.name, planned, folder)
        except BaseException:
            folder.cleanup()
            raise


def unpack(artifact: Artifact, folder: Path) -> Path:
    """Write the files of a package.

    Args:
        artifact: a zip.
        folder: an empty folder.

    Returns:
        The package's folder.

    Raises:
        ExecutionError: it is no zip, is damaged, or a member's name leads out of the folder.
    """
    package = folder / "tower.mlpackage"
    try:
        with zipfile.ZipFile(io.BytesIO(artifact.model.view)) as archive:
            for member in archive.infolist():
                path = PurePosixPath(member.filename)
                if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
                    raise ExecutionError(f"{artifact.name}: its member {member.filename!r} leads out of the package")
                if not member.is_dir():
                    target = package / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.read(member))
    except (zipfile.BadZipFile, RuntimeError, EOFError, OSError) as error:
        raise ExecutionError(f"{artifact.name}: is no whole zip ({error}); convert it again") from error
    if not (package / "Manifest.json").is_file():
        raise ExecutionError(f"{artifact.name}: has no Manifest.json, so that it is no .mlpackage; convert it again")
    return package


def _strict(planned: Placement, device: str, name: str) -> None:
    left = [node for node in planned.nodes if node.device != device]
    if left:
        shown = ", ".join(f"{node.op} {node.name} on {node.device}" for node in left[:_SHOWN])
        raise PlacementError(
            f"{name}: {len(left)} operators are not planned on {device}: {shown}; allow the CPU explicitly"
        )


def _library() -> Any:
    if sys.platform != _SYSTEM:
        raise MissingDependencyError("Core ML runs on macOS only; elsewhere its files can be made, not opened")
    engines.imported("coremltools.models.compute_plan", "MLComputePlan", INSTALL)
    return engines.imported("coremltools", "ComputeUnit", INSTALL)
