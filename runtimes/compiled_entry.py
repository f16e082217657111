"""What a compiled model is kept with: the key it is good for, and the digest of each of its files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from edgekit.runtimes.protocol import NodePlacement, Placement

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.runtimes.protocol import Artifact, Blob

MANIFEST = "manifest.json"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Key:
    """Everything that a compiled model depends on: it is right for one key and for no other.

    Attributes:
        artifact: SHA-256 of the model and its sidecars, 64 hexadecimal digits; see `digest`.
        runtime: name and version, such as ``onnxruntime 1.31.1``.
        compiler: name and version of what compiles in it, such as ``onnxruntime-qnn 2.7.0``.
        device: name and whatever tells this very device from its like, such as ``qnn:QCS6490 htp_arch=68``.
        options: settings that change the result, as ``name=value``, joined by spaces.
    """

    artifact: str
    runtime: str
    compiler: str
    device: str
    options: str

    @property
    def name(self) -> str:
        """Name of the key's folder."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32]

    def differences(self, other: Key) -> str:
        """Return in what another key differs from this one, for a message."""
        changed = [field.name for field in fields(Key) if getattr(self, field.name) != getattr(other, field.name)]
        shown = [f"{name} was {getattr(other, name) or 'none'}, is {getattr(self, name) or 'none'}" for name in changed]
        return "; ".join(shown)


@dataclass(frozen=True)
class Entry:
    """A compiled model.

    Attributes:
        folder: that holds its files.
        key: that it is good for.
        files: SHA-256 of each file, by its name.
        placement: which node ran where when it was compiled; what an engine tells of a compiled model is one node.
    """

    folder: Path
    key: Key
    files: dict[str, str]
    placement: Placement

    @property
    def size(self) -> int:
        """Of its files, in bytes."""
        return sum((self.folder / name).stat().st_size for name in self.files)


def digest(artifact: Artifact) -> str:
    """Return the SHA-256 of a model and its sidecars, names included."""
    found = hashlib.sha256()
    blobs: list[tuple[str, Blob]] = [("", artifact.model), *sorted(artifact.sidecars.items())]
    for name, blob in blobs:
        found.update(f"{name}\0{len(blob.view)}\0".encode("utf-8", "surrogateescape"))
        found.update(blob.view)
    return found.hexdigest()


def describe(key: Key, folder: Path, placement: Placement) -> str:
    """Return the manifest of what an engine wrote into a folder."""
    files = {path.name: _sha256(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    return json.dumps({"key": asdict(key), "files": files, "placement": plain_nodes(placement)}, indent=1)


def read(folder: Path) -> Entry:
    """Read an entry's manifest; its files are not looked at.

    Args:
        folder: of the entry.

    Returns:
        The entry.

    Raises:
        ValueError: the manifest is missing, or none of ours.
    """
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
        key = Key(**{field.name: text(found["key"][field.name]) for field in fields(Key)})
        files = {_plain(name): text(value) for name, value in found["files"].items()}
        placement = read_nodes(found["placement"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"its {MANIFEST} cannot be read ({type(error).__name__})") from error
    return Entry(folder, key, files, placement)


def plain_nodes(placement: Placement) -> list[list[str]]:
    """Return a placement as JSON holds it: name, operator and device of each node."""
    return [[node.name, node.op, node.device] for node in placement.nodes]


def read_nodes(plain: Any) -> Placement:
    """Return the placement that `plain_nodes` wrote.

    Args:
        plain: of JSON.

    Returns:
        The placement.

    Raises:
        TypeError: it is no list of lists of three texts.
        ValueError: a node has fewer or more parts.
    """
    nodes = []
    for node in _list(plain):
        name, op, device = map(text, _list(node))
        nodes.append(NodePlacement(name, op, device))
    return Placement(tuple(nodes))


def damage(entry: Entry) -> str:
    """Return what is wrong with an entry's files; an empty string when nothing is."""
    if not entry.files:
        return "it holds no file"
    for name, wanted in entry.files.items():
        try:
            if _sha256(entry.folder / name) != wanted:
                return f"{name} was changed"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
    return ""


def _sha256(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def text(value: Any) -> str:
    """Return a value of JSON that is a text; TypeError where it is none."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _plain(name: str) -> str:
    if "/" in name or name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no file's name")
    return name
