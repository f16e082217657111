"""What is trained on, what is scored, and what the command prints, with the training itself replaced."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import distill_kit as kit
import small_sets
from edgekit.benchmarks.quantization import emoji, emoji_export, emoji_training
from edgekit.benchmarks.quantization.emoji_labels import TextSide
from edgekit.converters.data import writing
from edgekit.evaluation.datasets import open_dataset
from edgekit.preprocess import preprocess

LABELS = {"emoji-noto": "abc", "emoji-twemoji": "abd", "emoji-fluent": "b", "openmoji": "cba"}


@pytest.fixture
def sets(tmp_path):
    """Four sets whose pictures have a shade of their own: ten times the vendor plus the letter."""
    made = []
    for vendor, (name, letters) in enumerate(LABELS.items()):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        rows = []
        for letter in letters:
            shade = 10 * vendor + "abcd".index(letter)
            Image.new("RGB", (64, 64), (shade,) * 3).save(folder / f"{letter}.png")
            rows.append((f"{letter}.png", f"letter {letter}"))
        writing.table(folder, "label", rows)
        made.append(open_dataset(folder))
    return made


@pytest.fixture
def seen(monkeypatch):
    """Keeps what the replaced steps were given."""
    found = {}

    def text_side(labels):
        found["labels"] = list(labels)
        return TextSide(torch.nn.Identity(), None, torch.eye(len(labels)))

    def train(net, pixels, targets, labels, *, rate, seconds, seed):
        found.update(net=net, pixels=pixels, targets=targets, rate=rate, seconds=seconds, seed=seed)
        return 7

    def write(folder, image, text, tokenizer, *, size, context_length, scale):
        found.update(folder=folder, size=size, scale=scale)

    def convert(source, out, options, on_stage):
        golden = {path.name: path.read_bytes() for path in sorted(options.photos.iterdir())}
        found.update(source=source, out=out, options=options, golden=golden)

    monkeypatch.setattr(emoji, "text_side", text_side)
    monkeypatch.setattr(emoji_training, "train", train)
    monkeypatch.setattr(emoji_export, "write", write)
    monkeypatch.setattr(emoji, "convert", convert)
    monkeypatch.setattr(emoji, "_recall", lambda bundle, held: 0.5)
    return found


@pytest.mark.parametrize("held", emoji.SETS)
@pytest.mark.parametrize("architecture", ["conv", "vit"])
def test_the_held_out_vendor_is_never_trained_on(sets, seen, tmp_path, held, architecture):
    report = emoji.make(tmp_path / "a.edge", emoji.Setting(architecture, held, 3.0, 5), sets, lambda _: None)
    shades = {int(image[0, 0, 0]) for image in seen["pixels"]}
    vendor = list(LABELS).index(held)
    assert {shade // 10 for shade in shades} == set(range(4)) - {vendor}
    assert report.trained_on == tuple(name for name in LABELS if name != held)
    assert report.images == len(seen["pixels"]) == sum(map(len, LABELS.values())) - len(LABELS[held])
    assert (report.held_out, report.n) == (held, len(LABELS[held]))
    assert (seen["seconds"], seen["seed"], report.steps) == (3.0, 5, 7)


def test_each_picture_is_trained_towards_its_own_label(sets, seen, tmp_path):
    emoji.make(tmp_path / "a.edge", emoji.Setting("conv", "emoji-noto", 1.0, 0), sets, lambda _: None)
    assert sorted(seen["labels"]) == ["letter a", "letter b", "letter c", "letter d"]
    for image, target in zip(seen["pixels"], seen["targets"], strict=True):
        assert seen["labels"][target] == f"letter {'abcd'[int(image[0, 0, 0]) % 10]}"


@pytest.mark.parametrize(("architecture", "size"), [("conv", 32), ("vit", 64)])
def test_pixels_are_those_of_the_bundles_preprocessing(sets, seen, tmp_path, architecture, size):
    emoji.make(tmp_path / "a.edge", emoji.Setting(architecture, "emoji-noto", 1.0, 0), sets, lambda _: None)
    expected = preprocess(sets[1].items[0].read(), emoji_export.image_spec(size))
    np.testing.assert_array_equal(seen["pixels"][0].permute(1, 2, 0).numpy(), expected)
    assert seen["size"] == size


def test_the_bundle_is_checked_on_held_out_pictures(sets, seen, tmp_path):
    emoji.make(tmp_path / "name.edge", emoji.Setting("conv", "openmoji", 1.0, 0), sets, lambda _: None)
    held = sets[-1]
    assert list(seen["golden"]) == ["0.png", "1.png", "2.png"]
    assert list(seen["golden"].values()) == [item.read() for item in held.items]
    assert seen["source"] == f"onnx:{seen['folder']}"
    assert (seen["options"].name, seen["options"].templates) == ("name", ("{}",))
    assert seen["out"] == (tmp_path / "name.edge").absolute()
    assert not seen["folder"].exists()


@pytest.mark.parametrize("layout", ["folders", "shard"])
def test_golden_pictures_are_eight_different_ones_however_they_lie(sets, seen, tmp_path, layout):
    """In folders of classes files have the same names, and all images of a shard have one file."""
    folder = kit.pictures(tmp_path / "held", each=6)
    if layout == "shard":
        shards = tmp_path / "shards"
        shards.mkdir()
        members = []
        for number, path in enumerate(sorted(folder.rglob("*.png"))):
            members += [(f"{number:03}.png", path.read_bytes()), (f"{number:03}.txt", path.parent.name.encode())]
        small_sets.write_tar(shards / "a.tar", members)
        folder = shards
    held = open_dataset(folder)
    setting = emoji.Setting("conv", held.name, 1.0, 0)
    emoji.make(tmp_path / "a.edge", setting, [*sets[:2], held], lambda _: None)
    golden = list(seen["golden"].values())
    assert len(golden) == len(set(golden)) == 8
    assert set(golden) <= {item.read() for item in held.items}


def test_the_same_seed_starts_from_the_same_weights(sets, seen, tmp_path):
    def start(seed):
        emoji.make(tmp_path / "a.edge", emoji.Setting("conv", "emoji-noto", 1.0, seed), sets, lambda _: None)
        return torch.cat([parameter.detach().flatten() for parameter in seen["net"].parameters()])

    assert torch.equal(start(0), start(0))
    assert not torch.equal(start(0), start(1))


class Clip:
    """Answers with rows that were prepared; the number is the shade of a picture, or the letter of a label."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def embed_images(self, encoded):
        import io

        rows = np.eye(4, dtype=np.float32)
        return rows[[int(np.asarray(Image.open(io.BytesIO(content)))[0, 0, 0]) % 10 for content in encoded]]

    def embed_texts(self, texts):
        rows = np.eye(4, dtype=np.float32)
        rows[2] = rows[0]  # two labels that cannot be told apart
        return rows[["abcd".index(text[-1]) for text in texts]]


def test_recall_counts_pictures_whose_own_label_is_nearest(sets, tmp_path, monkeypatch):
    monkeypatch.setattr(emoji.edgekit, "load", lambda bundle: Clip())
    # Of a, b and c, the picture of c finds no label of its own.
    assert emoji._recall(tmp_path / "a.edge", sets[0]) == pytest.approx(2 / 3)
    assert emoji._recall(tmp_path / "a.edge", sets[1]) == 1


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_the_command_prints_the_report(sets, seen, tmp_path, monkeypatch, capsys, as_json):
    monkeypatch.setattr(emoji, "locate", lambda name: tmp_path / "data" / name)
    arguments = ["emoji", "-o", str(tmp_path / "a.edge"), "--architecture", "vit", "--held-out", "openmoji"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--seconds", "2", "--seed", "3", *(["--json"] if as_json else [])])
    monkeypatch.setattr(emoji.torch, "set_num_threads", lambda count: None)
    emoji.main()
    printed = capsys.readouterr().out
    if as_json:
        report = json.loads(printed)
        assert (report["architecture"], report["held_out"], report["recall_at_1"]) == ("vit", "openmoji", 0.5)
        assert report["standard_error"] == pytest.approx(math.sqrt(0.25 / 3))
    else:
        assert printed.splitlines()[2] == "held out openmoji: R@1 50.0% ± 28.9%, n = 3"
    assert (seen["seconds"], seen["seed"]) == (2.0, 3)


@pytest.mark.parametrize(
    "wrong", [["--held-out", "apple"], ["--architecture", "mlp"], []], ids=["set", "net", "output"]
)
def test_wrong_use_is_told(wrong, monkeypatch, tmp_path):
    output = ["-o", str(tmp_path / "a.edge")] if wrong else []
    monkeypatch.setattr(sys, "argv", ["emoji", *output, *wrong])
    with pytest.raises(SystemExit) as caught:
        emoji.main()
    assert caught.value.code == 2
