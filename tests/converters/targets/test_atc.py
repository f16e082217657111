"""The command line of atc: documented options, refusals, and a stand-in for the program, which cannot be had freely."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
