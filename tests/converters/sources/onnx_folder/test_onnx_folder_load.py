"""A folder of exported towers as a source: what is missing in one file is looked for in the next, or told."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import foreign_graphs as foreign
from edgekit.converters.records import SourceOptions
from edgekit.converters.sources import onnx_folder, onnx_folder_layouts
from edgekit.errors import InputError, MissingDependencyError, UnsupportedModelError
from foreign_graphs import info

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.converters.records import SourceModel

LENGTH, SIZE, DIMENSION = 20, 32, 12  # of the towers in conftest.py
BPE = Path(str(importlib.util.find_spec("open_clip").origin)).parent / "bpe_simple_vocab_16e6.txt.gz"


def load(folder: Path, tokenizer: Path | None = None) -> SourceModel:
    return onnx_folder.load(str(folder), SourceOptions(tokenizer))


def change(path: Path, **changes: Any) -> None:
    """Set fields of a JSON file; None removes one."""
    fields = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in fields.items() if value is not None}))


@pytest.fixture
def optimum(copy_of: Callable[[str], Path]) -> Path:
    return copy_of("optimum")


def test_the_tokenizer_states_the_length_where_the_configuration_does_not(optimum: Path) -> None:
    change(optimum / "config.json", text_config=None)
    change(optimum / "tokenizer_config.json", model_max_length=16)
    source = load(optimum)
    assert source.text.context_length == 16
    assert source.text.reference(["a photo of a cat " * 20]).shape == (1, 16)


def test_a_length_that_the_graph_fixes_comes_before_the_tokenizers(optimum: Path) -> None:
    change(optimum / "config.json", text_config=None)
    change(optimum / "tokenizer_config.json", model_max_length=16)
    foreign.text(optimum / "onnx" / "text_model.onnx", mask=7, length=9)
    table = foreign.TABLE
    image(optimum / "onnx" / "vision_model.onnx", table.shape[1])
    assert load(optimum).text.context_length == 9


def test_a_length_that_nothing_states_is_told_with_both_places(optimum: Path) -> None:
    change(optimum / "config.json", text_config=None)
    change(optimum / "tokenizer_config.json", model_max_length=None)
    with pytest.raises(InputError, match=r"neither config\.json \(text_config\.max_position_emb.*\(model_max_length\)"):
        load(optimum)


def image(path: Path, dimension: int) -> None:
    """An image tower of another length of embedding."""
    matrix = np.random.default_rng(4).normal(size=(3 * SIZE * SIZE, dimension)).astype(np.float32)
    nodes = [
        foreign.helper.make_node("Flatten", ["pixel_values"], ["flat"]),
        foreign.helper.make_node("MatMul", ["flat", "matrix"], ["image_embeds"]),
    ]
    inputs, outputs = [info("pixel_values", 1, ["N", 3, SIZE, SIZE])], [info("image_embeds", 1, ["N", dimension])]
    foreign.save(path, nodes, inputs, outputs, {"matrix": matrix})


def test_towers_exported_without_their_projection_are_told(optimum: Path) -> None:
    image(optimum / "onnx" / "vision_model.onnx", 7)
    with pytest.raises(
        UnsupportedModelError, match=r"vision_model\.onnx gives \(1, 7\) and text_model\.onnx gives \(1,"
    ):
        load(optimum)


def test_open_clips_vocabulary_may_take_a_tokenizers_place(optimum: Path) -> None:
    """The graphs know fewer words than it has: that shows when a text is embedded, and not as a crash."""
    with pytest.raises(UnsupportedModelError, match=r"model\.onnx: fails on .*Gather"):
        load(optimum, BPE)


def test_a_tokenizer_of_transformers_may_take_the_vocabularys_place(
    copy_of: Callable[[str], Path], optimum: Path
) -> None:
    folder = copy_of("onnx_clip")
    (folder / BPE.name).unlink()
    source = load(folder, optimum)
    expected = load(optimum).text.reference(["a photo of a cat", "dogs"])
    np.testing.assert_array_equal(source.text.reference(["a photo of a cat", "dogs"]), expected)


def test_a_given_tokenizer_that_is_missing_is_named(optimum: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no-such\.json"):
        load(optimum, tmp_path / "no-such.json")


def test_the_folder_gives_name_and_licence(optimum: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (optimum / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    monkeypatch.chdir(optimum)
    monkeypatch.setenv("HOME", str(optimum.parent))
    for spec in (".", "~/optimum"):
        source = onnx_folder.load(spec, SourceOptions())
        assert (source.name, source.license) == ("optimum", "Apache-2.0")
        assert source.description.startswith("Optimum or transformers.js export, optimum")


@pytest.mark.parametrize("absent", ["onnx", "onnxruntime"])
def test_without_its_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, absent: str) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(MissingDependencyError, match=rf"{absent}.*pip install 'edgekit\[convert\]'"):
        load(tmp_path)


def layout_files(folder: Path, layout: Any, leave_out: str = "") -> None:
    for part in ("image", "text", "config", "preprocess", "tokenizer"):
        path = folder / getattr(layout, part)[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        if part != leave_out:
            path.touch()


@pytest.mark.parametrize("layout", onnx_folder_layouts.LAYOUTS, ids=lambda layout: layout.dialect)
def test_a_layout_is_known_by_either_tower(tmp_path: Path, layout: Any) -> None:
    for number, part in enumerate(("image", "text")):
        home = tmp_path / str(number)
        layout_files(home, layout, leave_out=part)
        with pytest.raises(InputError, match=f"missing .*{getattr(layout, part)[0]}.*, which the {layout.name} layout"):
            onnx_folder_layouts.find(home, needs_tokenizer=True)


@pytest.mark.parametrize("layout", onnx_folder_layouts.LAYOUTS, ids=lambda layout: layout.dialect)
def test_a_tokenizer_that_is_given_need_not_be_there(tmp_path: Path, layout: Any) -> None:
    layout_files(tmp_path, layout, leave_out="tokenizer")
    with pytest.raises(InputError, match=r"\(or give --tokenizer\)"):
        onnx_folder_layouts.find(tmp_path, needs_tokenizer=True)
    found = onnx_folder_layouts.find(tmp_path, needs_tokenizer=False)
    assert found.tokenizer is None
    assert found.layout == layout
    assert found.image == tmp_path / layout.image[0]


def test_the_float_towers_come_before_the_quantized(tmp_path: Path) -> None:
    layout = onnx_folder_layouts.LAYOUTS[-1]
    layout_files(tmp_path, layout)
    for name in (*layout.image, *layout.text):
        (tmp_path / name).touch()
    assert onnx_folder_layouts.find(tmp_path, needs_tokenizer=True).image.name == "vision_model.onnx"
    for name in layout.image[:2]:
        (tmp_path / name).unlink()
    found = onnx_folder_layouts.find(tmp_path, needs_tokenizer=True)
    assert (found.image.name, found.text.name) == ("vision_model_quantized.onnx", "text_model.onnx")


def test_a_folder_in_the_place_of_a_tower_is_none(tmp_path: Path) -> None:
    (tmp_path / "visual.onnx").mkdir()
    with pytest.raises(UnsupportedModelError, match="no exported towers found"):
        onnx_folder_layouts.find(tmp_path, needs_tokenizer=True)
    shutil.rmtree(tmp_path / "visual.onnx")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: no such folder"):
        onnx_folder_layouts.find(tmp_path / "file", needs_tokenizer=True)
