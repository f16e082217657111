"""What was compiled in advance is used for the chip, provider, session and model it was made for, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from edgekit.errors import PlacementError
from edgekit.runtimes import ort_in_advance, qnn_chips
from edgekit.runtimes.ort_in_advance import FACTS, MODEL, Offer
from edgekit.runtimes.protocol import Artifact, Blob, NodePlacement, Placement, SessionSettings

COMPILER, DEVICE, PLAIN = "onnxruntime-qnn 2.7.0", "qnn:QCS6490", SessionSettings()
PLACED = Placement((NodePlacement("conv", "Conv", "qnn"), NodePlacement("rows", "MatMul", "qnn")))
_NODE = helper.make_node("EPContext", ["a"], ["b"], domain="com.microsoft", embed_mode=1, ep_cache_context=b"binary")
COMPILED = helper.make_model(helper.make_graph([_NODE], "compiled", [], [])).SerializeToString()
UNUSABLE = "the model compiled in advance cannot be used: "


def blob(content: bytes) -> Blob:
    return Blob(memoryview(content))


SOURCE = Artifact("image.onnx", "onnx", blob(b"the model"), {"image.onnx.data": blob(b"weights")})
FACTS_TEXT = ort_in_advance.describe(SOURCE, COMPILED, COMPILER, "2.51.0", "QCS6490", PLACED)


def artifact(facts: str = FACTS_TEXT, compiled: bytes = COMPILED) -> Artifact:
    added = {f"image{FACTS}": blob(facts.encode()), f"image{MODEL}": blob(compiled)}
    return replace(SOURCE, sidecars={**SOURCE.sidecars, **added})


def changed(**values: object) -> str:
    return json.dumps({**json.loads(FACTS_TEXT), **values})


@pytest.mark.parametrize("device", [DEVICE, "qnn:qcm 6490", "qnn:SM7325"])
def test_what_fits_is_offered_with_its_placement(device: str) -> None:
    found = ort_in_advance.offer(artifact(), device, COMPILER, PLAIN)
    assert found == Offer(COMPILED, PLACED, "compiled in advance for QCS6490 by onnxruntime-qnn 2.7.0 (SDK 2.51.0)")


def test_nothing_is_offered_where_nothing_was_compiled() -> None:
    assert ort_in_advance.offer(SOURCE, DEVICE, COMPILER, PLAIN) == Offer()
    for ending in (FACTS, MODEL):
        whole = artifact()
        half = replace(whole, sidecars={k: v for k, v in whole.sidecars.items() if not k.endswith(ending)})
        assert ort_in_advance.offer(half, DEVICE, COMPILER, PLAIN) == Offer()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"device": "qnn:8 Gen 3"},
            "it is for QCS6490 (soc_model 35, htp_arch 68), and this is SM8650 (soc_model 57, htp_arch 75)",
        ),
        ({"compiler": "onnxruntime-qnn 2.8.0"}, "onnxruntime-qnn 2.7.0 made it, and this is onnxruntime-qnn 2.8.0"),
        ({"artifact": artifact(compiled=COMPILED[:-1])}, "its file was changed"),
        ({"artifact": replace(artifact(), model=blob(b"another"))}, "it was compiled from another model"),
        (
            {"artifact": replace(artifact(), sidecars={**artifact().sidecars, "image.onnx.data": blob(b"other")})},
            "it was compiled from another model",
        ),
        (
            {"settings": SessionSettings(options=(("provider.vtcm_mb", "4"), ("graph_optimization", "off")))},
            "it was compiled without the option provider.vtcm_mb, graph_optimization",
        ),
        ({"artifact": artifact(changed(chip="X9"))}, "it is for the chip X9, which this edgekit does not know"),
        ({"artifact": artifact("{")}, "its compiled.json cannot be read (JSONDecodeError)"),
        ({"artifact": artifact(changed(sdk=2))}, "its compiled.json cannot be read (TypeError)"),
        ({"artifact": artifact("{}")}, "its compiled.json cannot be read (KeyError)"),
    ],
)
def test_what_does_not_fit_is_told(given: dict[str, object], told: str) -> None:
    asked = {"artifact": artifact(), "device": DEVICE, "compiler": COMPILER, "settings": PLAIN, **given}
    assert ort_in_advance.offer(**asked) == Offer(note=UNUSABLE + told)


def test_options_of_a_run_change_nothing_in_a_compiled_model() -> None:
    options = (("provider.htp_performance_mode", "burst"), ("compiled_cache", "only"))
    found = ort_in_advance.offer(artifact(), DEVICE, COMPILER, SessionSettings(threads=3, options=options))
    assert found.model == COMPILED


def test_the_chip_here_is_known_by_the_kernels_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, fits in (("QCS6490", True), ("SM8550", False)):
        monkeypatch.setattr(qnn_chips, "here", lambda name=name: qnn_chips.find(name))
        assert (ort_in_advance.offer(artifact(), "qnn", COMPILER, PLAIN).model is not None) == fits
    monkeypatch.setattr(qnn_chips, "here", lambda: None)
    assert ort_in_advance.offer(artifact(), "qnn", COMPILER, PLAIN).note == (
        f"{UNUSABLE}it is for QCS6490 (soc_model 35, htp_arch 68), and this chip does not say what it is; name it, "
        "such as qnn:QCS6490"
    )


def test_a_chip_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(PlacementError, match="no Qualcomm chip 'X9' is known"):
        ort_in_advance.offer(artifact(), "qnn:X9", COMPILER, PLAIN)


def test_a_file_that_is_not_what_a_provider_compiled_is_told() -> None:
    facts = ort_in_advance.describe(SOURCE, b"none", COMPILER, "2.51.0", "QCS6490", PLACED)
    found = ort_in_advance.offer(artifact(facts, b"none"), DEVICE, COMPILER, PLAIN)
    assert found == Offer(note=f"{UNUSABLE}its file is no ONNX model")


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_any_json_is_told(found: object) -> None:
    for text in (found, {**json.loads(FACTS_TEXT), "chip": found}, {**json.loads(FACTS_TEXT), "placement": found}):
        offered = ort_in_advance.offer(artifact(json.dumps(text)), DEVICE, COMPILER, PLAIN)
        assert offered.model is None
        assert offered.note.startswith(UNUSABLE)
