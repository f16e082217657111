"""The command line of atc: documented options, refusals, and a stand-in for the program, which cannot be had freely."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.converters.targets import atc
from edgekit.converters.targets.atc import AtcOptions
from edgekit.errors import ConversionError, InputError

IMAGE = AtcOptions("Ascend310B4", {"pixels": (1, 3, 224, 224)})
MODEL, OUT = Path("image.onnx"), Path("image.om")


def test_the_command_line_is_the_documented_one(tmp_path) -> None:
    config = tmp_path / "aipp.cfg"
    config.touch()
    options = AtcOptions(
        "Ascend310P3", {"pixels": (1, 3, 8, 8), "ids": (1, 7)}, "mixed_float16", "high_precision", "NCHW", config
    )
    assert atc.command(MODEL, OUT, options) == [
        "atc",
        "--framework=5",
        "--model=image.onnx",
        "--output=image",
        "--soc_version=Ascend310P3",
        "--input_format=NCHW",
        "--input_shape=pixels:1,3,8,8;ids:1,7",
        "--precision_mode_v2=mixed_float16",
        "--op_select_implmode=high_precision",
        f"--insert_op_conf={config}",
    ]
    assert "--precision_mode_v2=fp16" in atc.command(MODEL, OUT, IMAGE)
    assert not any("op_select" in part for part in atc.command(MODEL, OUT, IMAGE))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (AtcOptions("310B4", {"a": (1,)}), "soc_version: '310B4' is no chip"),
        (AtcOptions("Ascend310B4 --x", {"a": (1,)}), "soc_version"),
        (AtcOptions("Ascend310B4", {}), "input_shape: no input"),
        (AtcOptions("Ascend310B4", {"a;b": (1,)}), "input_shape: 'a;b' cannot stand"),
        (AtcOptions("Ascend310B4", {"a:b": (1,)}), "rename the input"),
        (AtcOptions("Ascend310B4", {"a": (0, 3)}), "every length must be 1 or more"),
        (AtcOptions("Ascend310B4", {"a": ()}), "every length must be 1 or more"),
        (AtcOptions("Ascend310B4", {"a": (1,)}, precision="force_fp16"), "precision_mode_v2: 'force_fp16' is none of"),
        (AtcOptions("Ascend310B4", {"a": (1,)}, implementation="fast"), "op_select_implmode: 'fast'"),
        (AtcOptions("Ascend310B4", {"a": (1,)}, format="NHWC"), "input_format: 'NHWC'"),
        (
            AtcOptions("Ascend310B4", {"a": (1,)}, insert_op_conf=Path("none.cfg")),
            r"insert_op_conf: none\.cfg is no file",
        ),
    ],
)
def test_other_values_are_refused(options, told) -> None:
    with pytest.raises(InputError, match=told):
        atc.command(MODEL, OUT, options)


def test_the_output_is_an_om_file() -> None:
    with pytest.raises(InputError, match=r"does not end in \.om"):
        atc.command(MODEL, Path("image.onnx"), IMAGE)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A program by atc's name that writes its arguments, or fails."""

    def install(script):
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "atc"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return install


def test_it_runs_where_it_is_on_the_path(stand_in, tmp_path) -> None:
    stand_in('for a in "$@"; do case $a in --output=*) echo "$@" > "${a#--output=}.om";; esac; done')
    assert atc.here()
    out = atc.run(MODEL, tmp_path / "image.om", IMAGE)
    assert "--soc_version=Ascend310B4" in out.read_text()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo E10001: bad; exit 3", r"atc failed with exit code 3; its last lines:[\s\S]*E10001: bad"),
        ("echo ATC run success", "atc wrote no model"),
        ("kill -9 $$", "atc was ended by SIGKILL"),
    ],
)
def test_a_failure_is_one_error(stand_in, tmp_path, script, told) -> None:
    stand_in(script)
    with pytest.raises(ConversionError, match=told):
        atc.run(MODEL, tmp_path / "image.om", IMAGE)


def test_a_program_that_does_not_start_says_what_to_do(stand_in, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not atc.here()
    with pytest.raises(ConversionError, match=r"source CANN's set_env\.sh first"):
        atc.run(MODEL, tmp_path / "image.om", IMAGE)


def test_relative_paths_are_those_of_the_caller(stand_in, tmp_path, monkeypatch) -> None:
    """atc runs in the folder of its output; what the user named is found from where the user stands."""
    stand_in(
        'for a in "$@"; do case $a in --model=*) test -f "${a#--model=}" || exit 7;; '
        '--output=*) echo "$PWD" > "${a#--output=}.om";; esac; done'
    )
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    Path("made").mkdir()
    Path("models/image.onnx").write_bytes(b"model")
    out = atc.run(Path("models/image.onnx"), Path("made/image.om"), IMAGE)
    assert out == Path("made/image.om")
    assert out.read_text().strip() == str(tmp_path / "made")


def test_nothing_is_started_where_an_option_is_wrong(stand_in, tmp_path) -> None:
    stand_in(f"touch {tmp_path}/started")
    with pytest.raises(InputError, match="soc_version"):
        atc.run(MODEL, tmp_path / "image.om", AtcOptions("chip", {"a": (1,)}))
    assert not (tmp_path / "started").exists()


names = st.text("abz019_./-", min_size=1, max_size=8)
shapes = st.lists(st.integers(1, 4096), min_size=1, max_size=4).map(tuple)


@given(st.dictionaries(names, shapes, min_size=1, max_size=3))
@settings(deadline=None, max_examples=60)
def test_the_shapes_can_be_read_back(given_shapes) -> None:
    """By the grammar of atc's manual: inputs apart by semicolons, name and lengths by a colon, lengths by commas."""
    line = atc.command(MODEL, OUT, AtcOptions("Ascend310B4", given_shapes))
    (told,) = [part.removeprefix("--input_shape=") for part in line if part.startswith("--input_shape=")]
    read = {
        name: tuple(int(length) for length in lengths.split(","))
        for name, lengths in (one.split(":") for one in told.split(";"))
    }
    assert read == given_shapes


@given(st.text(min_size=1, max_size=4), shapes)
@settings(deadline=None, max_examples=60)
def test_a_name_is_one_part_of_the_list_or_refused(name, shape) -> None:
    try:
        line = atc.command(MODEL, OUT, AtcOptions("Ascend310B4", {name: shape}))
    except InputError as error:
        assert "input_shape" in str(error)
        return
    (told,) = [part for part in line if part.startswith("--input_shape=")]
    assert told.count(":") == 1
    assert not {";", ",", " ", "\n"} & set(name)
