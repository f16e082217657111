"""The same embeddings give the same figures in clip_benchmark and open_clip."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgekit.converters import torch_compat
from edgekit.evaluation.metrics import mean_per_class, places, recall_at_k, top_k
from edgekit.text_embedder import TextEmbedder

Rows = npt.NDArray[np.float32]


@pytest.fixture(autouse=True)
def _importable() -> None:
    torch_compat.prepare()


def _rows(n: int, d: int, seed: int) -> Rows:
    rows = np.random.default_rng(seed).normal(size=(n, d))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _near(rows: Rows, seed: int, noise: float = 0.7) -> Rows:
    mixed = rows + noise * _rows(*rows.shape, seed=seed)
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("images", [40, 333])
def test_zero_shot_accuracy_is_clip_benchmarks_and_open_clips(images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from clip_benchmark.metrics.zeroshot_classification import accuracy
    from open_clip_train.zero_shot import accuracy as open_clip_accuracy

    # Both turn arrays of one element into floats, which newer releases of NumPy refuse.
    as_array = torch.Tensor.numpy
    monkeypatch.setattr(torch.Tensor, "numpy", lambda tensor: as_array(tensor).squeeze())
    labels = _rows(30, 24, seed=1)
    classes = np.random.default_rng(2).integers(0, 30, images)
    photos = _near(labels[classes], seed=3, noise=1.6)
    logits = 100.0 * torch.from_numpy(photos) @ torch.from_numpy(labels).T
    found = [top_k(photos, labels, classes.tolist(), k) for k in (1, 5)]
    assert 0.2 < found[0] < found[1] < 1.0
    assert found == pytest.approx(accuracy(logits, torch.from_numpy(classes), topk=(1, 5)))
    counts = open_clip_accuracy(logits, torch.from_numpy(classes), topk=(1, 5))
    assert found == pytest.approx([count / images for count in counts])


def test_the_mean_per_class_is_scikit_learns_balanced_accuracy_which_clip_benchmark_reports() -> None:
    from sklearn.metrics import balanced_accuracy_score

    labels = _rows(8, 16, seed=1)
    classes = np.random.default_rng(2).choice(8, 200, p=np.arange(1, 9) / 36)
    photos = _near(labels[classes], seed=3, noise=2.0)
    correct = places(photos, labels, [(int(c),) for c in classes], 1) == 0
    predicted = (photos @ labels.T).argmax(axis=1)
    wanted = balanced_accuracy_score(classes, predicted)
    assert mean_per_class(correct, classes.tolist()).value == pytest.approx(wanted)


@pytest.mark.parametrize("k", [1, 5, 10])
def test_recall_with_several_captions_is_clip_benchmarks(k: int) -> None:
    import torch
    from clip_benchmark.metrics.zeroshot_retrieval import recall_at_k as theirs

    photos = _rows(60, 24, seed=1)
    owner = np.sort(np.random.default_rng(2).integers(0, 60, 240))
    owner[:60] = np.arange(60)  # every image has a caption
    captions = _near(photos[owner], seed=3, noise=2.0)
    scores = torch.from_numpy(captions) @ torch.from_numpy(photos).T
    pairs = torch.zeros(240, 60, dtype=torch.bool)
    pairs[torch.arange(240), torch.from_numpy(owner)] = True

    images_of = [(int(image),) for image in owner]
    texts_of = [np.flatnonzero(owner == image).tolist() for image in range(60)]
    text_to_image = recall_at_k(captions, photos, images_of, k)
    image_to_text = recall_at_k(photos, captions, texts_of, k)
    assert 0.05 < text_to_image < 0.99
    assert text_to_image == pytest.approx(float((theirs(scores, pairs, k) > 0).float().mean()))
    assert image_to_text == pytest.approx(float((theirs(scores.T, pairs.T, k) > 0).float().mean()))


def test_the_embeddings_of_labels_are_open_clips_zero_shot_weights() -> None:
    import open_clip
    import torch

    table = torch.from_numpy(np.random.default_rng(5).normal(size=(64, 16)).astype(np.float32))

    def tokens(texts: list[str]) -> Any:
        rows = [[len(word) * 7 % 64 for word in f"{text} end of the text".split()[:6]] for text in texts]
        return torch.tensor([row + [0] * (6 - len(row)) for row in rows])

    def encode_text(ids: Any, normalize: bool = False) -> Any:
        rows = table[ids].mean(dim=1)
        return torch.nn.functional.normalize(rows, dim=-1) if normalize else rows

    templates, labels = ("a photo of a {}.", "{}", "the small {} in a garden"), ["cat", "red fire engine", "crocodiles"]
    wanted = open_clip.build_zero_shot_classifier(SimpleNamespace(encode_text=encode_text), tokens, labels, templates)

    embedder = object.__new__(TextEmbedder)
    embedder.embed = lambda texts: encode_text(tokens(list(texts)), normalize=True).numpy()  # type: ignore[method-assign]
    assert np.allclose(embedder.embed_labels(labels, templates), wanted.T.numpy(), atol=1e-6)
