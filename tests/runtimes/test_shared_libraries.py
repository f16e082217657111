"""What a shared library needs, read from the file; libraries made by the system's compiler."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.runtimes import shared_libraries


def library(path: Path, code: str = "int edgekit_one(void) { return 1; }", *flags: str) -> Path:
    """Compile a shared library that is known by its file's name."""
    source = path.with_suffix(".c")
    source.write_text(code)
    name = f"-Wl,-soname,{path.name}"
    command = ["gcc", "-shared", "-fPIC", name, "-o", str(path), str(source), *flags]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.fixture(name="pair")
def _pair(tmp_path):
    """A library, and one that needs it and the C library."""
    first = library(tmp_path / "libfirst.so.7")
    code = '#include <stdio.h>\nint edgekit_one(void); int edgekit_two(void) { return puts("two") + edgekit_one(); }'
    second = library(tmp_path / "libsecond.so", code, str(first))
    return first, second


def test_names_are_read_without_loading(pair) -> None:
    _, second = pair
    found = shared_libraries.needed(second)
    assert found[0] == "libfirst.so.7"
    assert any(name.startswith("libc.so") for name in found)
    # As the system's own tool tells them.
    told = subprocess.run(["readelf", "-d", str(second)], capture_output=True, text=True, check=True).stdout
    assert [line.split("[")[1].rstrip("]") for line in told.splitlines() if "(NEEDED)" in line] == list(found)


def test_a_library_that_needs_nothing_has_no_names(tmp_path) -> None:
    assert shared_libraries.needed(library(tmp_path / "libalone.so", "int x;", "-nostdlib")) == ()


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\x7fELF\x01\x01" + b"\0" * 80, b"text" * 40])
def test_what_is_no_library_is_an_error_that_names_it(tmp_path, content: bytes) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"lib\.so: is no shared library for 64-bit Linux"):
        shared_libraries.needed(path)


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
def test_a_truncated_library_never_crashes(pair, keep: float) -> None:
    _, second = pair
    data = second.read_bytes()
    second.write_bytes(data[: int(len(data) * keep)])
    try:
        assert "libfirst.so.7" in shared_libraries.needed(second)  # the names may lie in what is left
    except InputError as error:
        assert "libsecond.so" in str(error)


def test_an_absent_file_is_an_error(tmp_path) -> None:
    with pytest.raises(InputError, match="No such file"):
        shared_libraries.needed(tmp_path / "no.so")


def test_only_what_nothing_provides_is_missing() -> None:
    assert shared_libraries.missing(["libc.so.6", "libedgekit-has-none.so.3"]) == ("libedgekit-has-none.so.3",)
    assert shared_libraries.missing([]) == ()


@pytest.mark.parametrize("where", ["nvidia/cublas/lib", "tensorrt_libs"])
def test_a_library_of_a_package_is_found_and_loaded_for_those_who_need_it(tmp_path, monkeypatch, where: str) -> None:
    folder = tmp_path / where
    folder.mkdir(parents=True)
    name = f"libedgekit-{where.replace('/', '-')}.so.9"
    assert shared_libraries.missing([name]) == (name,)
    library(folder / name)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert shared_libraries.packaged(name) == (folder / name,)
    assert shared_libraries.missing([name]) == ()
    # By its name alone now, as a provider asks for it.
    assert ctypes.CDLL(name).edgekit_one() == 1
