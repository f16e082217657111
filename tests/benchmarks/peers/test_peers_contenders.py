"""Peers opened for real in this process: what they answer, and what they say when something is missing."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tiny_bundle as tiny
from edgekit.benchmarks.peers import contenders
from edgekit.benchmarks.versus.records import Contender
from edgekit.errors import InputError, MissingDependencyError


def _visual(path: Path) -> None:
    """A tower that gives the mean of each colour."""
    import onnx
    from onnx import TensorProto, helper

    node = helper.make_node("ReduceMean", ["image"], ["embedding"], axes=[2, 3], keepdims=0)
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 224, 224])
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 3])
    graph = helper.make_graph([node], "visual", [given], [out])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def test_modern_onnx_clip_turns_photos_into_unit_rows(tmp_path: Path, photos: list[Path]) -> None:
    _visual(tmp_path / "visual.onnx")
    (tmp_path / "config.json").write_text('{"image_size": 224, "context_length": 77}')
    package = importlib.util.find_spec("open_clip")
    assert package is not None
    shutil.copy(Path(str(package.origin)).with_name("bpe_simple_vocab_16e6.txt.gz"), tmp_path)
    peer = Contender("peer", "modern-onnx-clip", str(tmp_path))
    found, embed = contenders.opened(peer, [str(photo) for photo in photos])
    rows = [embed(0), embed(1)]
    assert [row.shape for row in rows] == [(3,), (3,)]
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1])
    assert np.abs(rows[0] - rows[1]).max() > 1e-3
    assert found.engine.startswith("onnxruntime ")
    assert (found.model, found.space, found.threads) == (str(tmp_path), "", 0)
    with pytest.raises(InputError, match="peer: has no setting of threads"):
        contenders.opened(Contender("peer", "modern-onnx-clip", str(tmp_path), threads=1), [])


def test_open_clip_turns_photos_into_unit_rows(tmp_path: Path, photos: list[Path]) -> None:
    """An architecture of our own, small, added to those that open_clip knows."""
    from edgekit.converters import torch_compat

    torch_compat.prepare()
    import open_clip
    import torch

    vision = {"image_size": 48, "layers": 1, "width": 64, "head_width": 32, "patch_size": 16}
    text = {"context_length": 8, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    (tmp_path / "edgekit-tiny.json").write_text(json.dumps({"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}))
    open_clip.add_model_config(tmp_path)
    model = open_clip.create_model("edgekit-tiny")
    weights = tmp_path / "tiny.pt"
    torch.save(model.state_dict(), weights)
    before = torch.get_num_threads()
    try:
        peer = Contender("peer", "open-clip", f"edgekit-tiny:{weights}", threads=1)
        found, embed = contenders.opened(peer, [str(photo) for photo in photos])
        row = embed(0)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert np.linalg.norm(row) == pytest.approx(1)
    _, _, transform = open_clip.create_model_and_transforms("edgekit-tiny")
    with Image.open(photos[0]) as image, torch.no_grad():
        expected = model.eval().encode_image(transform(image)[None], normalize=True)[0].numpy()
    assert np.abs(row - expected).max() < 1e-5
    assert found.engine.startswith("torch ")
    assert found.threads == 1


@pytest.mark.parametrize(
    "model",
    ["ViT-B-32", "ViT-B-32:/nowhere.pt", ":x", "nowhere.edge", "{}"],
    ids=["name", "path", "no name", "file", "ours"],
)
def test_open_clip_says_what_it_needs(tiny_bundle: Path, model: str) -> None:
    peer = Contender("peer", "open-clip", model.format(tiny_bundle))
    with pytest.raises(InputError, match=r"nowhere\.edge|give --vs-peer open-clip=ARCHITECTURE:CHECKPOINT"):
        contenders.checkpoint(peer)


def test_a_bundle_names_the_weights_it_was_made_of(tmp_path: Path) -> None:
    from dataclasses import replace

    (tmp_path / "w.pt").write_bytes(b"")

    def change(manifest: Any) -> Any:
        return replace(manifest, source=replace(manifest.source, uri=f"open_clip:ViT-B-32:{tmp_path / 'w.pt'}"))

    bundle = tiny.build(tmp_path / "made.edge", change=change)
    assert contenders.checkpoint(Contender("p", "open-clip", str(bundle))) == ("ViT-B-32", tmp_path / "w.pt")


@pytest.mark.parametrize(("kind", "package"), [("modern-onnx-clip", "onnx_clip"), ("open-clip", "open_clip")])
def test_a_peer_that_is_not_installed_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, package: str
) -> None:
    (tmp_path / "w.pt").write_bytes(b"")
    monkeypatch.setitem(sys.modules, package, None)  # what a missing package looks like to `import`
    model = str(tmp_path) if kind == "modern-onnx-clip" else f"ViT-B-32:{tmp_path / 'w.pt'}"
    with pytest.raises(MissingDependencyError, match=f"the peer p is not installed .*; pip install .*{kind}"):
        contenders.opened(Contender("p", kind, model), [])
