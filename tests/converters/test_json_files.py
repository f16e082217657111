"""Configurations that users bring."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.converters.json_files import read_object
from edgekit.errors import InputError


def test_an_object_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"a": [1, "é"]}', encoding="utf-8")
    assert read_object(path) == {"a": [1, "é"]}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not readable as JSON"),
        (b"\xff\xfe{", "not readable as JSON"),
        (b"[1]", "found list"),
        (b"null", "found NoneType"),
        (b"[" * 100_000, "not readable as JSON"),
        (b'{"a": 1', "not readable as JSON"),
    ],
)
def test_anything_else_names_the_file(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"config\.json: .*{problem}"):
        read_object(path)


def test_missing_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such configuration file"):
        read_object(tmp_path / "missing.json")
    with pytest.raises(InputError, match="not readable as JSON"):
        read_object(tmp_path)
