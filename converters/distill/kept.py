"""A tower that the student keeps: the graph of its teacher's bundle as it is, float where the bundle has float."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.graph import checks, store
from edgekit.converters.sources import onnx_folder_session as sessions
from edgekit.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    from edgekit.bundle.manifest import TowerRecord, VariantRecord
    from edgekit.bundle.reader import Bundle
    from edgekit.golden import TowerName


@dataclass(frozen=True)
class KeptTower:
    """One tower of a bundle; satisfies `Tower`. Its reference is the bundle's own graph, in ONNX Runtime.

    Attributes:
        bundle: opened.
        record: the tower.
    """

    bundle: Bundle
    record: TowerRecord

    def export(self, path: Path) -> None:
        """Write the graph to `path`, its weights in ``<path name>.data`` beside it.

        Args:
            path: where the graph goes.

        Raises:
            BundleError: the bundle is damaged.
            ConversionError: the graph cannot be read.
        """
        with TemporaryDirectory(dir=path.parent, prefix=".kept-") as name:
            store.save(store.load(self._unpacked(Path(name))), path)
        checks.check_file(path)

    def reference(self, batch: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Return (N, D) float32 unit rows for contract input: uint8 (N, H, W, 3) pixels or int32 (N, L) ids."""
        size = self.record.input.shape[0]
        with TemporaryDirectory(prefix="edgekit-kept-") as name:
            session = sessions.session(self._unpacked(Path(name)))
            feeds = {self.record.input.name: np.ascontiguousarray(batch)}
            fixed = size if isinstance(size, int) else 0
            return sessions.run(session, Path(self.record.artifact), self.record.output.name, feeds, fixed)

    def _unpacked(self, folder: Path) -> Path:
        for path in (self.record.artifact, *self.record.sidecars):
            (folder / path.rpartition("/")[2]).write_bytes(self.bundle.read(path))
        return folder / self.record.artifact.rpartition("/")[2]


def kept_tower(bundle: Bundle, tower: TowerName) -> KeptTower:
    """Return a tower of a bundle, to be converted; see `kept_variant` for errors."""
    return KeptTower(bundle, kept_record(bundle, tower))


def kept_record(bundle: Bundle, tower: TowerName) -> TowerRecord:
    """Return the record of a tower that the student keeps; see `kept_variant` for errors."""
    return kept_variant(bundle).towers[tower]


def kept_variant(bundle: Bundle) -> VariantRecord:
    """Return the variant that a kept tower is taken from.

    Args:
        bundle: the teacher's.

    Returns:
        Its float32 ONNX variant, else the first one in ONNX, which then stays quantized.

    Raises:
        InputError: it has no ONNX variant for every processor.
    """
    manifest = bundle.manifest
    portable = [one for one in manifest.variants if one.format == "onnx" and one.target == "any"]
    for variant in (*(one for one in portable if one.precision == "fp32"), *portable):
        return variant
    held = ", ".join(f"{one.id} ({one.format}, {one.precision}, {one.target})" for one in manifest.variants)
    raise InputError(
        f"{bundle.where}: holds {held}; a tower that the student keeps must be ONNX for any processor; convert the "
        f"teacher again: edgekit convert {manifest.source.uri} -o TEACHER.edge"
    )
