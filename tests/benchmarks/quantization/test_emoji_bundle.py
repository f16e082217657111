"""From labelled sets to a scored bundle, with a text side of a few words."""

from __future__ import annotations

import csv
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Split
from transformers import PreTrainedTokenizerFast

import edgekit
from edgekit.benchmarks.quantization import emoji, emoji_export, emoji_labels, emoji_training
from edgekit.benchmarks.quantization.emoji_labels import TextSide
from edgekit.benchmarks.quantization.emoji_nets import NETS
from edgekit.converters.records import SourceOptions
from edgekit.converters.sources.onnx_folder import load
from edgekit.evaluation.datasets import open_dataset

COLOURS = {"red square": (255, 0, 0), "green square": (0, 255, 0), "blue square": (0, 0, 255), "black": (0, 0, 0)}
LETTERS = ("[PAD]", "[UNK]", *" abcdefghijklmnopqrstuvwxyz")
LENGTH = 16


class Letters(torch.nn.Module):
    """The mean of the letters' rows, padding left out; no row is zero."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(128, 12)  # a conversion tries ids below 100

    def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        mask = (token_ids != 0).float().unsqueeze(-1)
        return (self.table(token_ids) * mask).sum(1) / (mask.sum(1) + 1e-6) + 0.01


def tokenizer():
    letters = Tokenizer(WordLevel({letter: number for number, letter in enumerate(LETTERS)}, unk_token="[UNK]"))
    letters.normalizer = Lowercase()
    letters.pre_tokenizer = Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=letters, pad_token="[PAD]", unk_token="[UNK]", model_max_length=LENGTH
    )


def text_side(labels):
    encoder, made = Letters().eval(), tokenizer()
    ids = made(list(labels), padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        rows = torch.nn.functional.normalize(encoder(ids), dim=-1)
    return TextSide(encoder, made, rows)


def labelled(folder, shift):
    """A set of eight pictures, two of each colour."""
    folder.mkdir(parents=True)
    rows = [("path", "label")]
    for number, (label, colour) in enumerate(list(COLOURS.items()) * 2):
        image = Image.new("RGB", (64, 64), (255, 255, 255))
        image.paste(colour, (8 + shift + number, 8, 40 + shift + number, 40))
        image.save(folder / f"{number}.png")
        rows.append((f"{number}.png", label))
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return open_dataset(folder)


@pytest.fixture
def sets(tmp_path):
    return [labelled(tmp_path / "data" / name, shift) for shift, name in enumerate(emoji.SETS)]


@pytest.fixture
def small(monkeypatch):
    """Letters in the place of the sentence encoder, and steps in the place of seconds."""
    clock = iter(range(10_000))
    monkeypatch.setattr(emoji_training.time, "process_time", lambda: next(clock))
    monkeypatch.setattr(emoji_training, "_BATCH", 8)
    monkeypatch.setattr(emoji, "text_side", text_side)
    monkeypatch.setattr(emoji, "CONTEXT_LENGTH", LENGTH)


def test_a_bundle_is_trained_converted_and_scored(sets, small, tmp_path):
    out, stages = tmp_path / "tiny.edge", []
    report = emoji.make(out, emoji.Setting("conv", "emoji-noto", 20, 0), sets, stages.append)
    assert report.trained_on == ("emoji-twemoji", "emoji-fluent", "openmoji")
    assert (report.held_out, report.digest) == ("emoji-noto", sets[0].digest)
    assert (report.n, report.images, report.steps) == (8, 24, 19)
    assert report.recall_at_1 >= 0.75  # chance is 0.25
    assert report.standard_error == pytest.approx((report.recall_at_1 * (1 - report.recall_at_1) / 8) ** 0.5)
    assert [stages[0], stages[-1]] == ["embedding the labels", "scoring the held-out set"]
    with edgekit.load(out) as clip:
        assert clip.classify(sets[0].items[2].path, list(COLOURS))[0].label == "blue square"
    assert list(tmp_path.glob(".emoji-*")) == []


def test_the_report_is_readable():
    report = emoji.Report("a.edge", "conv", 358392, ("x", "y"), 24, 29, "z", "0" * 64, 1911, 0.399, 0.0112)
    assert emoji.table(report).splitlines() == [
        "a.edge  conv, 358,392 parameters, 29 steps",
        "trained on x, y: 24 pictures",
        "held out z: R@1 39.9% ± 1.1%, n = 1,911",
    ]


def test_a_set_that_is_not_fetched_says_how(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", ["emoji", "-o", str(tmp_path / "a.edge")])
    with pytest.raises(SystemExit) as caught:
        emoji.main()
    assert caught.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "edgekit data fetch emoji-noto" in line
    assert not (tmp_path / "a.edge").exists()


@pytest.mark.parametrize("name", NETS)
def test_the_written_folder_is_the_net_that_was_trained(tmp_path, name):
    size = NETS[name].size
    torch.manual_seed(0)
    image, text = NETS[name].make(12).eval(), Letters()
    emoji_export.write(tmp_path, image, text, tokenizer(), size=size, context_length=LENGTH, scale=30.0)
    model = load(str(tmp_path), SourceOptions())
    assert model.image == emoji_export.image_spec(size)
    assert (model.logit_scale, model.scores, model.dimension) == (30.0, "softmax", 12)
    pixels = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    planes = emoji_training.planes(torch.from_numpy(pixels)).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = torch.nn.functional.normalize(image(planes), dim=-1).numpy()
    np.testing.assert_allclose(model.image_tower.reference(pixels), expected, atol=1e-4)
    ids = model.text.reference(["red square", "Blue"])
    with torch.no_grad():
        rows = torch.nn.functional.normalize(text(torch.from_numpy(ids).long()), dim=-1).numpy()
    np.testing.assert_allclose(model.text_tower.reference(ids), rows, atol=1e-5)


def test_the_text_side_is_centred(monkeypatch):
    words = Letters().eval()

    class Language(torch.nn.Module):
        def forward(self, input_ids, attention_mask):
            assert attention_mask.shape == input_ids.shape
            return type("Out", (), {"last_hidden_state": words.table(input_ids)})()

    monkeypatch.setattr(emoji_labels.starter_parts, "tokenizer", tokenizer)
    monkeypatch.setattr(emoji_labels.starter_parts, "language_model", Language)
    side = emoji_labels.text_side(list(COLOURS))
    assert side.rows.shape == (4, 12)
    torch.testing.assert_close(side.rows.norm(dim=-1), torch.ones(4))
    ids = tokenizer()(list(COLOURS), padding=True, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        again = side.encoder(ids)
    torch.testing.assert_close(torch.nn.functional.normalize(again, dim=-1), side.rows)
    torch.testing.assert_close(again.mean(0), torch.zeros(12), atol=1e-6, rtol=0)
