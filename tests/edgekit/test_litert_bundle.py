"""A bundle with TensorFlow Lite towers from end to end: the CPU, a real delegate, and one that computes wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import edgekit
import litert_files
import litert_towers
from edgekit.errors import RuntimeUnavailableError
from edgekit.runtimes.protocol import SessionSettings

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["a photo of a cat", "two red bicycles", "a rocket"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return litert_towers.bundle(tmp_path_factory.mktemp("litert") / "both.edge")


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> str:
    return litert_files.compiled(tmp_path_factory.mktemp("delegate"))


def settings(mode: str, *, allow_cpu: bool = True) -> SessionSettings:
    return SessionSettings(threads=1, allow_cpu=allow_cpu, options=(("delegate.mode", mode),))


def test_both_runtimes_give_the_same_embeddings(bundle: Path, photos: list[Path]) -> None:
    with edgekit.load(bundle, runtime="litert") as lite, edgekit.load(bundle, runtime="onnxruntime") as onnx:
        np.testing.assert_allclose(lite.embed_images(photos), onnx.embed_images(photos), atol=1e-5)
        np.testing.assert_allclose(lite.embed_texts(TEXTS), onnx.embed_texts(TEXTS), atol=1e-5)


def test_a_delegate_that_is_named_gets_its_nodes(bundle: Path, device: str, photos: list[Path]) -> None:
    with (
        edgekit.load(bundle, runtime="litert") as cpu,
        edgekit.load(bundle, variant="litert", device=device, settings=settings("right")) as delegated,
    ):
        np.testing.assert_allclose(delegated.embed_images(photos), cpu.embed_images(photos), atol=1e-5)
        np.testing.assert_allclose(delegated.embed_texts(TEXTS), cpu.embed_texts(TEXTS), atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "allow_cpu", "told"),
    [
        ("wrong", True, "golden|cosine"),
        ("fail", True, "the adder is out of order"),
        ("nothing", True, "took none of the model's"),
        ("refuse", True, "the adder is not plugged in"),
        ("unprepared", True, "failed on the model"),
        ("right", False, r"took 1 of the model's \d+ nodes and left"),
    ],
    ids=["wrong", "fail", "nothing", "refuse", "unprepared", "strict"],
)
def test_a_delegate_that_is_not_right_is_refused(
    bundle: Path, device: str, mode: str, allow_cpu: bool, told: str
) -> None:
    with pytest.raises(RuntimeUnavailableError, match=told):
        edgekit.load(bundle, variant="litert", device=device, settings=settings(mode, allow_cpu=allow_cpu))


def test_a_family_never_competes_on_its_own(bundle: Path) -> None:
    with edgekit.load(bundle, variant="litert") as clip:
        candidates = clip.explain().candidates
    assert [candidate.device for candidate in candidates] == ["cpu"]
