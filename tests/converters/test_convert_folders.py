"""Where a conversion writes: names, permissions, neighbours, and what is left when it cannot go on."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

import tiny_source
from edgekit.bundle.reader import open_bundle
from edgekit.converters import convert as conversion
from edgekit.converters.convert import ConvertOptions, convert
from edgekit.errors import ConversionError, InputError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny_source.install(tmp_path / "site", monkeypatch)
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def run(out: Path, source: str = "tiny:good", options: ConvertOptions | None = None) -> list[str]:
    stages: list[str] = []
    convert(source, out, options or ConvertOptions(), stages.append)
    return stages


def test_two_conversions_into_one_folder_do_not_meet(home: Path) -> None:
    """Even of the same name: each works in a folder of its own, and a whole bundle stands there in the end."""
    outs = [home / "a.edge", home / "a.edge", home / "b.edge"]
    threads = [threading.Thread(target=run, args=(out,)) for out in outs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in home.iterdir()) == ["a.edge", "b.edge"]
    assert [open_bundle(out).manifest.name for out in outs] == ["tiny"] * 3


def test_a_relative_name_is_meant_from_here(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for the options, which other processes read."""
    monkeypatch.chdir(home)
    Path("own.json").write_text("{}")
    run(Path("here.edge"), options=ConvertOptions(tokenizer=Path("own.json")))
    assert open_bundle(home / "here.edge").manifest.description == "For tests; tokenizer own.json."


def test_a_link_is_replaced_and_not_what_it_points_to(home: Path) -> None:
    (home / "kept.edge").write_bytes(b"kept")
    (home / "link.edge").symlink_to(home / "kept.edge")
    run(home / "link.edge")
    assert (home / "kept.edge").read_bytes() == b"kept"
    assert open_bundle(home / "link.edge").manifest.name == "tiny"


def test_a_name_that_is_too_long_is_told_before_anything_runs(home: Path) -> None:
    with pytest.raises(ConversionError, match=r"File name too long; nothing was written") as caught:
        run(home / ("x" * 251 + ".edge"))
    assert "free in" not in str(caught.value)  # room on the disk has nothing to do with it
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "told", "hint"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "w.npy"), "w.npy: No space left on device", True),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "w.npy"), "w.npy: Disk quota exceeded", True),
        (OSError("3 requested and 1 written"), r"could not be written whole, .* \(3 requested", True),
        (OSError(errno.EACCES, "Permission denied", "w.npy"), "w.npy: Permission denied", False),
        (OSError(errno.EIO, "Input/output error"), "out: Input/output error", False),
    ],
)
def test_what_the_disk_says_is_passed_on_with_advice_where_it_helps(
    home: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, told: str, hint: bool
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(conversion, "run_child", fail)
    with pytest.raises(ConversionError, match=rf"{told}.*nothing was written") as caught:
        run(home / "x.edge")
    assert ("about three times the model's size free in" in str(caught.value)) == hint
    assert list(home.iterdir()) == []


def test_a_target_that_is_none_is_told_with_those_there_are(home: Path) -> None:
    with pytest.raises(InputError, match="target: 'tpu' is not one of any, litert"):
        run(home / "x.edge", options=ConvertOptions(target="tpu"))


@pytest.mark.parametrize("template", ["", "{", "{} and {}", "{0}", "{label}"])
def test_a_template_has_one_place_for_the_label(home: Path, template: str) -> None:
    with pytest.raises(InputError, match="exactly one"):
        run(home / "x.edge", options=ConvertOptions(templates=("a {}", template)))
    assert list(home.iterdir()) == []


def test_what_a_caller_raises_between_stages_leaves_nothing(home: Path) -> None:
    """Ctrl-C arrives at any stage."""

    def interrupt(stage: str) -> None:
        if stage == "checking float32 towers":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert("tiny:good", home / "x.edge", ConvertOptions(), interrupt)
    assert list(home.iterdir()) == []
