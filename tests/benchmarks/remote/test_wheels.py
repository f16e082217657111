"""The wheel of this edgekit installs and holds every module; tags are judged as the packaging library judges them."""

from __future__ import annotations

import base64
import csv
import email
import hashlib
import io
import os
import platform
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from edgekit.benchmarks.remote import environment, tags, wheel
from edgekit.benchmarks.remote.records import Address, Board, Facts
from edgekit.benchmarks.remote.ssh_errors import BoardError
from edgekit.errors import ExecutionError, InputError

LIBC = platform.libc_ver()
HERE = Facts(
    executable=sys.executable,
    python=sys.version_info[:2],
    implementation="cpython",
    machine=platform.machine(),
    libc=("glibc", tuple(int(part) for part in (LIBC[1] or "2.36").split(".")[:2])),
    system="",
    boot_id="",
    offset=0.0,
    offset_error=0.0,
    free=0,
)
PI = Facts("/usr/bin/python3", (3, 11), "cpython", "aarch64", ("glibc", (2, 36)), "", "", 0.0, 0.0, 0)


def test_the_wheel_is_the_same_each_time_and_installs(tmp_path):
    path = wheel.build(tmp_path / "cache")
    before = path.stat().st_mtime_ns
    assert wheel.build(tmp_path / "cache") == path
    assert path.stat().st_mtime_ns == before
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    assert "edgekit/benchmarks/remote/wheel.py" in names
    assert "edgekit/samples/labels/everyday.txt" in names
    assert not [name for name in names if name.endswith((".edge", ".pyc")) or "__pycache__" in name]
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--no-compile", "--target", str(site), str(path)], check=True
    )
    code = (
        "import edgekit, edgekit.benchmarks.remote.run_on, edgekit.samples, importlib.metadata as m; "
        "d = m.distribution('edgekit'); print(edgekit.__file__, d.version); "
        "print(*[e.name for e in d.entry_points if e.group == 'edgekit.commands'])"
    )
    environ = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert str(site) in done.stdout
    assert "bench" in done.stdout.split()


def test_a_wheel_that_was_damaged_in_the_cache_is_made_again(tmp_path):
    path = wheel.build(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert wheel.build(tmp_path).read_bytes() == whole


_M = platform.machine()
_PYTHONS = [
    "py3",
    "py2.py3",
    "py2",
    "cp310",
    "cp311",
    "cp312",
    "cp38",
    "cp32",
    "cp31",
    "cp311.cp312",
    "py39",
    "py313",
    "pp310",
]
_ABIS = ["none", "abi3", "cp310", "cp311", "cp312", "cp311d", "cp313t"]
_PLATFORMS = [
    "any",
    "win_amd64",
    *(f"{name}_{_M}" for name in ("linux", "manylinux1", "manylinux2010", "manylinux2014", "musllinux_1_2")),
    *(f"manylinux_2_{minor}_{_M}" for minor in (4, 5, 17, 28, 36, 99)),
    f"manylinux_3_0_{_M}",
    "manylinux_2_17_s390x",
    "macosx_11_0_arm64",
    f"manylinux_2_99_{_M}.manylinux2014_{_M}",
]


@settings(max_examples=400)
@given(st.sampled_from(_PYTHONS), st.sampled_from(_ABIS), st.sampled_from(_PLATFORMS))
def test_tags_are_judged_as_the_packaging_library_does(python, abi, where):
    name = f"x-1.0-{python}-{abi}-{where}.whl"
    known = frozenset(sys_tags())
    assert (tags.problem(name, HERE) == "") == bool(parse_wheel_filename(name)[3] & known), name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("onnxruntime-1.22-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl", ""),
        (
            "numpy-2.2-cp311-cp311-manylinux_2_17_x86_64.whl",
            "is for manylinux_2_17_x86_64; the board is aarch64 with glibc",
        ),
        ("numpy-2.2-cp312-cp312-manylinux_2_17_aarch64.whl", "is for cp312-cp312; the board has cpython 3.11"),
        ("numpy-2.2-cp311-cp311-musllinux_1_2_aarch64.whl", "is for musllinux_1_2_aarch64"),
        ("numpy.whl", "is no name of a wheel"),
        ("numpy-2.2.tar.gz", "is no name of a wheel"),
    ],
)
def test_reasons_are_told(name, problem):
    found = tags.problem(name, PI)
    assert found.startswith(problem)
    assert bool(found) == bool(problem)


def test_of_several_wheels_those_that_fit_are_sent(tmp_path):
    for name in (
        "numpy-2-cp311-cp311-manylinux_2_17_aarch64",
        "numpy-2-cp310-cp310-manylinux_2_17_aarch64",
        "click-8-py3-none-any",
    ):
        (tmp_path / f"{name}.whl").write_bytes(name.encode())
    board = Board("b", Address("", "h"), wheels=tmp_path)
    sent = environment.wheels_for(board, PI)
    assert [p.name for p in sent] == [
        "wheels/click-8-py3-none-any.whl",
        "wheels/numpy-2-cp311-cp311-manylinux_2_17_aarch64.whl",
    ]
    (tmp_path / "pillow-11-cp311-cp311-win_amd64.whl").write_bytes(b"")
    with pytest.raises(BoardError, match=r"pillow-11.* is for win_amd64.*--platform manylinux_2_28_aarch64") as caught:
        environment.wheels_for(board, PI)
    assert caught.value.ending == "refused"
    assert environment.wheels_for(Board("b", Address("", "h")), PI) == ()


def test_plans_quote_and_repeat(tmp_path):
    from edgekit.benchmarks.remote import payload

    own = payload.of_file(Path(__file__), "wheels/edgekit-1-py3-none-any.whl")
    board = Board("b", Address("", "h"))
    plan = environment.plan(board, PI, "/home/it's me/x", "abc", own, ())
    assert plan == environment.plan(board, PI, "/home/it's me/x", "abc", own, ())
    assert "'/home/it'\"'\"'s me/x/" in plan.program
    assert "--no-index" not in plan.program
    there = environment.plan(Board("b", Address("", "h"), "/opt/py", "own"), PI, "/x", "abc", own, ())
    assert (there.interpreter, there.path) == (PI.executable, there.place)
    offline = environment.plan(board, PI, "/x", "abc", own, (own,))
    assert "--no-index --find-links /x/runs/abc/wheels" in offline.program
    assert offline.place != plan.place
    syntax = subprocess.run(["sh", "-n"], input=plan.program + "\n" + there.program, text=True, check=False)
    assert syntax.returncode == 0


def test_the_list_of_a_wheels_files_is_right_for_names_of_any_kind():
    content = {"a/b.py": b"1", 'c,"d".txt': b"", "e f.bin": bytes(range(256)), "é.py": b"\r\n"}
    metadata = distribution("edgekit")
    made = wheel.pack(content, metadata)
    assert wheel.pack(dict(reversed(content.items())), metadata) == made, "whatever order they come in"
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
        assert all(info.date_time == (1980, 1, 1, 0, 0, 0) for info in archive.infolist())
    (record,) = (name for name in found if name.endswith(".dist-info/RECORD"))
    rows = list(csv.reader(found[record].decode().splitlines()))
    assert {name for name, _, _ in rows} == set(found)
    assert content.items() <= found.items()
    for name, digest, size in rows:
        if name == record:
            assert (digest, size) == ("", "")
            continue
        # The specification of recorded files: base64url without '=' of the raw digest.
        expected = base64.urlsafe_b64encode(hashlib.sha256(found[name]).digest()).decode().rstrip("=")
        assert (digest, size) == (f"sha256={expected}", str(len(found[name])))
    described = email.message_from_bytes(found[record.replace("RECORD", "METADATA")])
    assert (described["Name"], described["Version"]) == ("edgekit", metadata.version)


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(wheel, "files", lambda: {"a.py": b""})
    (tmp_path / "cache").touch()
    with pytest.raises(InputError, match=r"cache/[0-9a-f]{16}: the folder for wheels cannot be made: Not a directory"):
        wheel.build(tmp_path / "cache")
    one = wheel.build(tmp_path / "other")
    monkeypatch.setattr(wheel, "files", lambda: {"a.py": b"changed"})
    other = wheel.build(tmp_path / "other")
    assert one.name == other.name
    assert one.parent != other.parent, "a folder for each content"


def test_an_edgekit_that_was_not_installed_says_so(tmp_path, monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(wheel, "distribution", missing)
    with pytest.raises(ExecutionError, match="edgekit: has no metadata here; install it by pip"):
        wheel.build(tmp_path)
    assert list(tmp_path.iterdir()) == []
