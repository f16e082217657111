"""Bytes that nobody thought of: the reader answers each with a bundle or a BundleError, and notices every change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.bundle.reader import open_bundle
from edgekit.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

SIGNATURES = [b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"\xff\xff\xff\xff", b"\xff\xff", b"\0\0"]
PIECES = st.binary(max_size=60) | st.sampled_from(SIGNATURES)


def _refused(data: bytes) -> None:
    with pytest.raises(BundleError) as caught:
        open_bundle(data).verify()
    str(caught.value).encode()


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=12))
def test_arbitrary_bytes(pieces: list[bytes]) -> None:
    _refused(b"".join(pieces))


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=12))
def test_arbitrary_bytes_that_begin_and_end_as_a_zip(pieces: list[bytes]) -> None:
    body = b"PK\3\4" + b"".join(pieces)
    end = body[-46:].rjust(46, b"\0")
    _refused(body + end[:18].replace(b"PK", b"..") + b"PK\5\6" + end[18:36])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_bundle_with_bytes_removed_added_or_changed(hollow: Path, data: st.DataObject) -> None:
    original = hollow.read_bytes()
    changed = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        # The directory and the end records are few bytes among many, and hold every number that leads elsewhere.
        low = data.draw(st.sampled_from([0, max(0, len(changed) - 900), max(0, len(changed) - 22)]))
        at = data.draw(st.integers(low, len(changed)))
        changed[at : at + data.draw(st.integers(0, 8))] = data.draw(PIECES)
    if bytes(changed) == original:
        assert open_bundle(bytes(changed)).verify()
    else:
        _refused(bytes(changed))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_pieces_of_a_bundle_in_another_order(hollow: Path, data: st.DataObject) -> None:
    original = hollow.read_bytes()
    cuts = sorted(data.draw(st.sets(st.integers(1, len(original) - 1), min_size=1, max_size=4)))
    pieces = [original[a:b] for a, b in zip([0, *cuts], [*cuts, len(original)], strict=True)]
    mixed = b"".join(data.draw(st.permutations(pieces)))
    if mixed == original:
        assert open_bundle(mixed).verify()
    else:
        _refused(mixed)
