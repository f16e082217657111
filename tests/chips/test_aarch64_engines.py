"""LiteRT, MNN, ncnn and OpenVINO on an emulated ARM64 board: their wheels prove a bundle, as on x86."""

from __future__ import annotations

import numpy as np
import pytest

import arm_board
import edgekit
import engine_bundle
import ncnn_models
import onnx_models
from runtime_contract import inputs

pytestmark = pytest.mark.skipif(bool(arm_board.missing()), reason=arm_board.missing() or "a board is here")

TEXTS = ["a photo of a cat", "Two red bicycles, parked!"]
EMBED = f"""
import json, pathlib, edgekit
from importlib.resources import files
photo = str(files("edgekit.samples") / "photos" / "coffee.jpg")
found = {{}}
for variant, runtime in PAIRS:
    with edgekit.load("/here/tiny.edge", variant=variant, runtime=runtime, check="always") as clip:
        found[runtime] = [clip.embed_images([photo]).tolist(), clip.embed_texts({TEXTS!r}).tolist()]
print(json.dumps(found))
"""
# What the contract suite gives each engine: two inputs of free sizes, two outputs.
CONTRACT = """
import json, pathlib
import numpy as np
from edgekit.runtimes import registry
from edgekit.runtimes.protocol import Artifact, Blob, SessionSettings
def blob(name):
    path = pathlib.Path("/here") / name
    return Blob(memoryview(path.read_bytes()), path)
artifact = Artifact("m.param", "ncnn", blob("m.param"), {name: blob(name) for name in ("m.bin", "m.json")})
session = registry.get("ncnn").open(artifact, "cpu", SessionSettings(threads=1))
found = session.run(dict(np.load("/here/inputs.npz")))
print(json.dumps({name: value.tolist() for name, value in found.items()}))
"""
PAIRS = [(variant, runtime) for variant, runtimes in engine_bundle.RUNTIMES.items() for runtime in runtimes]


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory):
    return arm_board.install(tmp_path_factory.mktemp("arm") / "site")


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory):
    """What the board sees as ``/here``: a bundle for every engine."""
    folder = tmp_path_factory.mktemp("here")
    engine_bundle.build(folder / "tiny.edge")
    return folder


@pytest.fixture(scope="module", params=[arm_board.CORTEX_A53, arm_board.CORTEX_A76], ids=lambda one: one.name)
def processor(request):
    return request.param


def ask(processor, folder, site, *arguments):
    return arm_board.run(processor, folder, site, [*arguments], engines=True)


def test_the_bundle_is_proven_on_every_engine(processor, folder, site):
    done = ask(processor, folder, site, "-m", "edgekit.cli.main", "verify", "/here/tiny.edge")
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    for variant, runtime in PAIRS:
        (line,) = (line for line in done.stdout.splitlines() if line.startswith(f"{variant} on {runtime} "))
        assert line.endswith("  ok"), line


def test_embeddings_are_those_of_x86(processor, folder, site):
    found = arm_board.json_of(ask(processor, folder, site, "-c", EMBED.replace("PAIRS", repr(PAIRS))))
    assert set(found) == {runtime for _, runtime in PAIRS}
    photo = arm_board.ROOT / "samples" / "photos" / "coffee.jpg"
    for variant, runtime in PAIRS:
        with edgekit.load(folder / "tiny.edge", variant=variant, runtime=runtime) as clip:
            expected = clip.embed_images([photo]), clip.embed_texts(TEXTS)
        for here, there in zip(expected, found[runtime], strict=True):
            np.testing.assert_allclose(there, here, atol=1e-5, rtol=0, err_msg=runtime)


def test_ncnn_computes_the_contracts_model(processor, site, tmp_path):
    ncnn_models.artifact(tmp_path)
    np.savez(tmp_path / "inputs.npz", **inputs(3))
    found = arm_board.json_of(ask(processor, tmp_path, site, "-c", CONTRACT))
    for name, value in onnx_models.expected(inputs(3)).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-3)
