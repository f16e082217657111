"""A model compiled in advance, for real: opened in Qualcomm's simulator instead of being compiled, or told why not.

The simulator itself opens what was compiled for another chip without a word; Qualcomm's provider checks on chips only.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import onnxruntime_qnn
import pytest

import edgekit
import qnn_bundle
import qnn_models
import tiny_bundle as tiny
from edgekit.errors import PlacementError, RuntimeUnavailableError
from edgekit.runtimes import compiled_cache, ort_context, ort_in_advance, ort_plugins, registry
from edgekit.runtimes.ort_in_advance import FACTS, MODEL
from edgekit.runtimes.protocol import Artifact, Blob, SessionSettings

CHIP, OTHER = "qnn:QCS6490", "qnn:8 Gen 3"
NAMES = "QCS6490 (soc_model 35, htp_arch 68), and this is SM8650 (soc_model 57, htp_arch 75)"
ONLY = SessionSettings(threads=1, options=(("compiled_cache", "only"),))
PLAIN = SessionSettings(threads=1)


def blob(content: bytes) -> Blob:
    return Blob(memoryview(content))


def compiled(folder, artifact, chip="QCS6490"):
    """Let the provider compile an artifact; return the two sidecars, as `edgekit compile --context` makes them."""
    (plugin,) = [one for one in ort_plugins.installed() if one.device == "qnn"]
    out = folder / f"{chip}.onnx"
    options = onnxruntime.SessionOptions()
    # Otherwise the provider leaves the conversions at the graph's ends to the CPU.
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    for name, value in {"enable": "1", "file_path": str(out), "embed_mode": "1"}.items():
        options.add_session_config_entry(f"ep.context_{name}", value)
    devices = ort_plugins.hardware(onnxruntime, plugin)
    options.add_provider_for_devices(devices, ort_plugins.options(f"qnn:{chip}", {}))
    onnxruntime.InferenceSession(bytes(artifact.model.view), options)
    session = registry.get("onnxruntime").open(artifact, f"qnn:{chip}", replace(PLAIN, options=OFF))
    placement, sdk = session.placement(), onnxruntime_qnn.build_and_package_info.qnn_version
    session.close()
    compiler, model = ort_context.compiler_of(plugin), out.read_bytes()
    facts = ort_in_advance.describe(artifact, model, compiler, sdk, chip, placement)
    return {f"image{MODEL}": model, f"image{FACTS}": facts.encode()}


OFF = (("compiled_cache", "off"),)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return qnn_models.quantized(tmp_path_factory.mktemp("plain"), reduce_l2=False)


@pytest.fixture(scope="module")
def sidecars(plain, tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("compiled"), plain)


def with_sidecars(plain: Artifact, sidecars: dict[str, bytes]) -> Artifact:
    return replace(plain, sidecars={name: blob(content) for name, content in sidecars.items()})


def opened(artifact, device=CHIP, settings=PLAIN):
    """Open, run, close; return placement and rows."""
    session = registry.get("onnxruntime").open(artifact, device, settings)
    rows = np.concatenate([session.run({"pixels": pixels})["embedding"] for pixels in qnn_models.PIXELS])
    placement = session.placement()
    session.close()
    return placement, rows


@pytest.mark.parametrize("settings", [PLAIN, ONLY, replace(PLAIN, allow_cpu=True)])
def test_it_is_opened_and_nothing_is_compiled(plain, sidecars, settings):
    placement, rows = opened(with_sidecars(plain, sidecars), settings=settings)
    assert placement.note.startswith("compiled in advance for QCS6490 by onnxruntime-qnn 2.")
    # The engine itself would say that there is one node.
    assert len(placement.nodes) > 20
    assert set(placement.counts()) == {"qnn"}
    assert compiled_cache.entries() == ()
    wanted, again = opened(plain, settings=replace(PLAIN, options=OFF))
    assert wanted.nodes == placement.nodes
    np.testing.assert_array_equal(rows, again)


def test_it_can_be_passed_over(plain, sidecars):
    assert opened(with_sidecars(plain, sidecars), settings=replace(PLAIN, options=OFF))[0].note == ""


def test_on_another_chip_it_is_compiled_and_told(plain, sidecars):
    artifact = with_sidecars(plain, sidecars)
    told = f"the model compiled in advance cannot be used: it is for {NAMES}"
    assert opened(artifact, OTHER)[0].note == f"{told}; it was compiled here"
    assert opened(artifact, OTHER)[0].note == f"{told}; compiled at an earlier load"


def test_where_nothing_may_be_compiled_another_chip_is_an_error_that_names_both(plain, sidecars):
    with pytest.raises(PlacementError) as caught:
        opened(with_sidecars(plain, sidecars), OTHER, ONLY)
    assert str(caught.value) == (
        f"tower.onnx: compiled_cache=only lets nothing be compiled on {OTHER}, and the model compiled in advance "
        f"cannot be used: it is for {NAMES}"
    )
    assert compiled_cache.entries() == ()


def test_where_nothing_may_be_compiled_and_nothing_is_there(plain):
    with pytest.raises(PlacementError, match="on qnn:QCS6490, and nothing was compiled in advance or kept"):
        opened(plain, settings=ONLY)
    opened(plain)
    # Options are part of a key, but this one changes nothing in what is compiled.
    assert opened(plain, settings=ONLY)[0].note == "compiled at an earlier load"
    with pytest.raises(PlacementError, match=r"tower\.onnx: compiled_cache=only is for qnn, not cpu"):
        opened(plain, "cpu", ONLY)


def test_another_version_is_compiled_again_and_told(plain, sidecars):
    facts = json.loads(sidecars[f"image{FACTS}"])
    version = facts["compiler"]
    old = {**sidecars, f"image{FACTS}": json.dumps({**facts, "compiler": "onnxruntime-qnn 2.6.0"}).encode()}
    assert opened(with_sidecars(plain, old))[0].note == (
        f"the model compiled in advance cannot be used: onnxruntime-qnn 2.6.0 made it, and this is {version}; it was "
        "compiled here"
    )


@pytest.mark.parametrize("cut", [0, 1000, -1])
def test_a_truncated_file_is_compiled_again_and_told(plain, sidecars, cut):
    name = f"image{MODEL}"
    placement, rows = opened(with_sidecars(plain, {**sidecars, name: sidecars[name][:cut]}))
    assert placement.note.endswith("cannot be used: its file was changed; it was compiled here")
    np.testing.assert_array_equal(rows, opened(plain)[1])


def test_a_file_that_the_engine_does_not_open_is_compiled_again(plain, sidecars):
    """Facts that are right about a file whose binary is none: only the engine can tell."""
    model = onnx.load_from_string(sidecars[f"image{MODEL}"])
    for attribute in model.graph.node[0].attribute:
        if attribute.name == "ep_cache_context":
            attribute.s = b"none"
    none = model.SerializeToString()
    facts = json.loads(sidecars[f"image{FACTS}"])
    wrong = ort_in_advance.describe(plain, none, facts["compiler"], "2.51.0", "QCS6490", opened(plain)[0])
    note = opened(with_sidecars(plain, {f"image{MODEL}": none, f"image{FACTS}": wrong.encode()}))[0].note
    assert note.startswith(
        "the model compiled in advance does not open (tower.onnx: onnxruntime on qnn:QCS6490 refused"
    )
    assert note.endswith("; it was compiled here")


def test_the_simulator_itself_opens_it_for_another_chip_which_is_why_edgekit_looks(sidecars):
    (plugin,) = [one for one in ort_plugins.installed() if one.device == "qnn"]
    options = onnxruntime.SessionOptions()
    devices = ort_plugins.hardware(onnxruntime, plugin)
    options.add_provider_for_devices(devices, ort_plugins.options(OTHER, {}))
    session = onnxruntime.InferenceSession(sidecars[f"image{MODEL}"], options)
    assert session.run(None, {"pixels": qnn_models.PIXELS[0]})[0].shape == (1, 16)
    # What the provider wrote for its check on chips: SDK, then htp_arch and soc_model.
    told = {one.key: one.value for one in onnx.load_from_string(sidecars[f"image{MODEL}"]).metadata_props}
    assert ":68:35:" in told["ep_compatibility_info.QNNExecutionProvider"]


@pytest.fixture(scope="module")
def carrying(tmp_path_factory):
    """A bundle whose image tower carries what was compiled in advance."""
    folder = tmp_path_factory.mktemp("carrying")
    bundle = edgekit.bundle.reader.open_bundle(qnn_bundle.build(folder))
    record = bundle.manifest.variants[1].towers["image"]
    model = Artifact("image.onnx", "onnx", blob(bytes(bundle.read(record.artifact))))
    home = record.artifact.rpartition("/")[0]
    extra = {f"{home}/{name}": content for name, content in compiled(folder, model).items()}
    members = {record.artifact: bytes(bundle.read(record.artifact)), **extra}

    def add(manifest):
        first, made = bundle.manifest.variants
        changed = replace(made, image=replace(made.image, sidecars=tuple(extra)))
        return replace(manifest, variants=(first, changed))

    return tiny.build(folder / "carrying.edge", change=add, extra=members)


def load(bundle, device, **more):
    return edgekit.load(bundle, variant=qnn_bundle.VARIANT, device=device, towers=["image"], **more)


def test_a_bundle_that_carries_it_is_opened_with_it_after_the_golden_check(carrying):
    with load(carrying, CHIP, check="always") as clip:
        found = clip.explain()
    assert "image tower: compiled in advance for QCS6490 by onnxruntime-qnn" in str(found)
    assert found.chosen.checks[0].agreement.cosine_min > 0.95
    assert compiled_cache.entries() == ()


def test_such_a_bundle_runs_on_the_processor_too(carrying):
    with load(carrying, "cpu") as clip:
        assert set(clip.explain().placement["image"]) == {"cpu"}


def test_such_a_bundle_on_another_chip_is_refused_where_nothing_may_be_compiled(carrying):
    with pytest.raises(RuntimeUnavailableError) as caught:
        load(carrying, OTHER, settings=ONLY)
    assert NAMES in str(caught.value)


@pytest.mark.parametrize("path", ["/etc/hostname", "../outside.bin", "beside.bin"])
def test_what_points_at_a_file_is_not_opened(plain, sidecars, tmp_path, monkeypatch, path):
    """A bundle's files reach nothing outside it, whatever its facts say."""
    monkeypatch.chdir(tmp_path)
    model = onnx.load_from_string(sidecars[f"image{MODEL}"])
    for attribute in model.graph.node[0].attribute:
        if attribute.name == "embed_mode":
            attribute.i = 0
        if attribute.name == "ep_cache_context":
            # A right binary, so that only the pointing is wrong.
            (tmp_path / "beside.bin").write_bytes(attribute.s)
            attribute.s = path.encode()
    content, facts = model.SerializeToString(), json.loads(sidecars[f"image{FACTS}"])
    told = ort_in_advance.describe(plain, content, facts["compiler"], "2.51.0", "QCS6490", opened(plain)[0])
    note = opened(with_sidecars(plain, {f"image{MODEL}": content, f"image{FACTS}": told.encode()}))[0].note
    assert note == "the model compiled in advance cannot be used: it points at another file; it was compiled here"
