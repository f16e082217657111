"""Tiny towers exported in each layout, with the tokenizer that belongs to it: nothing is fetched."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LENGTH = 20
SIZE = 32
DIMENSION = 12


class Image(nn.Module):
    """(N, 3, H, W), or (N, H, W, 3), to (N, D)."""

    def __init__(self, *, channels_last: bool = False, scaled: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 8, 8)
        self.out = nn.Linear(16 * 16, DIMENSION)
        self.channels_last = channels_last
        self.scaled = scaled

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = pixels.permute(0, 3, 1, 2) if self.channels_last else pixels
        if not self.scaled:
            x = (x.float() / 255 - 0.5) / 0.5
        return self.out(torch.relu(self.conv(x)).flatten(1))


class CausalText(nn.Module):
    """Ids to (N, D), read at the largest id, blind to what follows it: like CLIP's text tower."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, 16)
        self.position = nn.Parameter(torch.randn(128, 16))
        self.out = nn.Linear(16, DIMENSION)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids) + self.position[: ids.shape[1]]
        x = torch.tanh(x).cumsum(1)
        return self.out(x[torch.arange(ids.shape[0]), ids.argmax(-1)])


class MaskedText(nn.Module):
    """Ids and mask to (N, D), the mean over what the mask keeps: like a BERT with mean pooling."""

    def __init__(self, vocabulary: int, *, types: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, 16)
        self.types = nn.Embedding(2, 16) if types else None
        self.out = nn.Linear(16, DIMENSION)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor | None = None) -> torch.Tensor:
        x = self.embed(ids)
        if self.types is not None and types is not None:
            x = x + self.types(types)
        weight = mask.to(torch.float32).unsqueeze(-1)
        return self.out((torch.tanh(x) * weight).sum(1) / weight.sum(1))


def export(
    module: nn.Module,
    inputs: Mapping[str, torch.Tensor],
    path: Path,
    *,
    outputs: tuple[str, ...] = ("embedding",),
    opset: int = 17,
    free: tuple[int, ...] = (0,),
) -> None:
    """Export as people do: TorchScript exporter, named inputs, the axes in `free` dynamic."""
    path.parent.mkdir(parents=True, exist_ok=True)
    axes: dict[str, Any] = {name: {axis: f"axis{axis}" for axis in free} for name in inputs}
    if 0 in free:
        axes |= {name: {0: "axis0"} for name in outputs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=opset,
            dynamo=False,
        )


def pixels() -> torch.Tensor:
    return torch.zeros(1, 3, SIZE, SIZE)


def ids(length: int = LENGTH, dtype: torch.dtype = torch.int64) -> torch.Tensor:
    return torch.arange(1, length + 1, dtype=dtype).reshape(1, length)


def bert_tokenizer(folder: Path, length: int | None = LENGTH) -> Any:
    """Train a small WordPiece tokenizer and save it in transformers' format."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    from edgekit.converters.sources import hf_load

    library = hf_load.transformers()
    raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer()
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    corpus = ["a photo of a cat", "two dogs in the snow at night", "the quick brown fox jumps over"] * 5
    raw.train_from_iterator(
        corpus, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    )
    arguments = {} if length is None else {"model_max_length": length}
    tokenizer = library.BertTokenizerFast(vocab=raw.get_vocab(), **arguments)
    tokenizer.save_pretrained(folder)
    return tokenizer


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def onnx_clip(folder: Path) -> Path:
    import open_clip

    torch.manual_seed(1)
    export(Image(), {"image": pixels()}, folder / "visual.onnx")
    export(CausalText(49408), {"text": ids()}, folder / "textual.onnx", outputs=("text_embedding",))
    write_json(folder / "config.json", {"image_size": SIZE, "context_length": LENGTH, "model_name": "tiny"})
    vocabulary = "bpe_simple_vocab_16e6.txt.gz"
    shutil.copy(Path(open_clip.__file__).parent / vocabulary, folder / vocabulary)
    return folder


def immich(folder: Path) -> Path:
    torch.manual_seed(2)
    tokenizer = bert_tokenizer(folder / "textual")
    export(Image(), {"image": pixels()}, folder / "visual" / "model.onnx")
    text = CausalText(max(128, len(tokenizer)))
    export(text, {"text": ids(dtype=torch.int32)}, folder / "textual" / "model.onnx")
    write_json(
        folder / "visual" / "preprocess_cfg.json",
        {
            "size": [SIZE, SIZE],
            "mode": "RGB",
            "mean": [0.5, 0.4, 0.3],
            "std": [0.2, 0.3, 0.4],
            "interpolation": "bicubic",
            "resize_mode": "squash",
            "fill_color": 0,
        },
    )
    text_config = {"context_length": LENGTH, "tokenizer_kwargs": {"clean": "canonicalize"}}
    write_json(folder / "config.json", {"embed_dim": DIMENSION, "text_cfg": text_config, "logit_scale": 50.0})
    return folder


def optimum(folder: Path) -> Path:
    from edgekit.converters.sources import hf_load

    torch.manual_seed(3)
    library = hf_load.transformers()
    tokenizer = bert_tokenizer(folder)
    export(Image(), {"pixel_values": pixels()}, folder / "onnx" / "vision_model.onnx", outputs=("image_embeds",))
    text = MaskedText(max(128, len(tokenizer)))
    inputs = {"input_ids": ids(), "attention_mask": torch.ones(1, LENGTH, dtype=torch.int64)}
    export(text, inputs, folder / "onnx" / "text_model.onnx", outputs=("text_embeds",), free=(0, 1))
    library.CLIPImageProcessorPil(
        size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}
    ).save_pretrained(folder)
    library.ChineseCLIPConfig(projection_dim=DIMENSION).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] = {**config.get("text_config", {}), "max_position_embeddings": LENGTH}
    write_json(folder / "config.json", config)
    return folder


MAKERS: dict[str, Callable[[Path], Path]] = {"onnx_clip": onnx_clip, "immich": immich, "optimum": optimum}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Layout name to a folder made once in a session; do not write into it."""
    from edgekit.converters.torch_compat import prepare

    prepare()
    folders: dict[str, Path] = {}

    def make(layout: str) -> Path:
        if layout not in folders:
            folders[layout] = MAKERS[layout](tmp_path_factory.mktemp(layout))
        return folders[layout]

    return make


@pytest.fixture
def copy_of(made: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A private copy of a layout's folder."""

    def copy(layout: str) -> Path:
        return Path(shutil.copytree(made(layout), tmp_path / layout))

    return copy
