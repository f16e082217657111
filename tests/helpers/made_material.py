"""Material to distil from, made from a recipe, and the embeddings that a tiny teacher gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import tiny_bundle as tiny
import tiny_towers
from edgekit.converters.distill.data.material import open_material, prepare

TEXTS = ("a photo of a cat", "a dog", "two red bicycles in the sky", "rocket", "a cup of coffee on the car")


def make(recipe, student, folder, teachers=None):
    stages = []
    paths = [Path(spec.model) if spec.model else None for spec in recipe.teachers] if teachers is None else teachers
    prepare(recipe, paths, student, folder, stages.append, lambda done, total: None)
    return stages


def material(recipe, student, folder, **options):
    make(recipe, student, folder)
    return open_material(recipe, student, folder, **options)


def texts_file(tmp_path, texts=TEXTS):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(texts))
    return str(path)


def teacher_weights():
    return tiny_towers.weights(0, tiny.make_tokenizer().get_vocab_size())


def embed_ids(texts):
    ids = np.array([tiny.make_tokenizer().encode(text).ids for text in texts], np.int32)
    return tiny_towers.embed_ids(teacher_weights(), ids)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def same(one, two):
    return all(
        torch.equal(getattr(one, name), getattr(two, name)) for name in ("planes", "labels", "token_ids")
        if hasattr(one, name)
    ) and all(torch.equal(a, b) for a, b in zip(one.rows, two.rows, strict=True))  # fmt: skip
