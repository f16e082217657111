"""Why a provider's library does not load: what it names and this machine lacks, told with what to do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgekit.runtimes import ort_libraries


@pytest.fixture
def package(tmp_path: Path):
    """An onnxruntime whose provider ``cann`` is a real library that needs others; one of those is then taken away."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is needed to make a shared library")
    folder = tmp_path / "onnxruntime" / "capi"
    folder.mkdir(parents=True)
    source = tmp_path / "empty.c"

    def build(name: str, needed: tuple[str, ...] = ()) -> Path:
        source.write_text(f"int {Path(name).stem}(void) {{ return 0; }}\n")
        libraries = [str(folder / one) for one in needed]
        out = folder / name
        named = f"-Wl,-soname,{name}"
        command = ["gcc", "-shared", "-fPIC", "-Wl,--no-as-needed", named, "-o", str(out), str(source), *libraries]
        subprocess.run(command, check=True)
        return out

    ort_libraries.lacking.cache_clear()
    build("libascendcl_of_a_test.so")
    build("libonnxruntime_providers_shared.so")
    build("libonnxruntime_providers_cann.so", ("libascendcl_of_a_test.so", "libonnxruntime_providers_shared.so"))
    return SimpleNamespace(__file__=str(folder.parent / "__init__.py"), __version__="1.2.3"), folder


def test_what_is_missing_is_named_with_what_to_do(package) -> None:
    ort, folder = package
    (folder / "libascendcl_of_a_test.so").unlink()
    told = ort_libraries.absent(ort, "cann")
    assert told.startswith("the provider cann of onnxruntime 1.2.3 needs libascendcl_of_a_test.so, which this machine")
    assert "install Huawei's CANN toolkit and source its set_env.sh" in told
    assert "providers_shared" not in told


def test_nothing_is_said_where_everything_is_there(package) -> None:
    assert ort_libraries.absent(package[0], "cann") == ""


def test_nothing_is_said_of_a_provider_inside_onnxruntime_or_an_unknown_one(package, tmp_path: Path) -> None:
    ort, folder = package
    assert ort_libraries.absent(ort, "coreml") == ""
    (folder / "libonnxruntime_providers_cann.so").unlink()
    ort_libraries.lacking.cache_clear()
    assert ort_libraries.absent(ort, "cann") == ""
