"""Coverage-guided fuzzing of the bundle reader: any bytes give a verified bundle or a BundleError, nothing else.

``python tests/fuzz/fuzz_bundle.py -max_total_time=60`` (needs ``pip install atheris``; libFuzzer's flags). Every input
is tried three times: as the whole file; as the manifest of an otherwise right bundle, since no mutation would get past
the checksum in front of it; and as one record of such a manifest. Seeds are a small bundle and pieces of it.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["edgekit.bundle", "json"]):
    from edgekit.bundle import container
    from edgekit.bundle.reader import open_bundle
    from edgekit.errors import BundleError

sys.path.append(str(Path(__file__).parents[1] / "helpers"))
import tiny_bundle as tiny  # not instrumented: it only makes the seeds

with tempfile.TemporaryDirectory() as _folder:
    _BUNDLE = tiny.build(Path(_folder) / "tiny.edge")
    _MEMBERS = tiny.contents(_BUNDLE)
    _ORIGINAL = _BUNDLE.read_bytes()
_MANIFEST = json.loads(_MEMBERS["manifest.json"])
_SMALL = {name: data[:8] for name, data in _MEMBERS.items()}


def one_input(data: bytes) -> None:
    """Try one input; an exception that is not a BundleError ends the process."""
    _try(data)
    _try(_pack(data))
    fields = sorted(_MANIFEST)
    with suppress(ValueError, RecursionError):
        field = fields[data[0] % len(fields)] if data else "name"
        _try(_pack(json.dumps({**_MANIFEST, field: json.loads(data[1:])}).encode()))


def _try(data: bytes) -> None:
    try:
        open_bundle(data).verify()
    except BundleError as error:
        str(error).encode()
    else:
        if data[:2] == b"PK" and data != _ORIGINAL and len(data) == len(_ORIGINAL):
            raise AssertionError("a change of the tiny bundle went unnoticed")


def _pack(manifest: bytes) -> bytes:
    stream = io.BytesIO()
    members = {**_SMALL, "manifest.json": manifest}
    container.write(stream, ((name, io.BytesIO(data)) for name, data in members.items()))
    return stream.getvalue()


def seeds(folder: Path) -> None:
    """Write the first inputs."""
    pieces = {
        "bundle": _ORIGINAL,
        "small": tiny.pack(_SMALL),
        "manifest": _MEMBERS["manifest.json"],
        "one-member": tiny.pack({"a": b""}),
        "zip64": _pack(b"{}")[:-22] + container.directory([container.Member("a", 0, 1 << 33, 0)]),
    }
    for i, field in enumerate(sorted(_MANIFEST)):
        pieces[f"field-{field}"] = bytes([i]) + json.dumps(_MANIFEST[field]).encode()
    for name, data in pieces.items():
        (folder / name).write_bytes(data)


def main() -> None:
    """Fuzz until told to stop; new inputs go to a folder that is thrown away unless one is given."""
    with tempfile.TemporaryDirectory() as name:
        seeds(Path(name))
        given = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
        arguments = [*sys.argv, "-max_len=65536", *([] if given else [name])]
        atheris.Setup(arguments, one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
