"""What the card of a bundle for a Rockchip chip says of how a tower was built."""

from __future__ import annotations

from edgekit.converters.targets import rknn
from edgekit.converters.targets.mixing import Mix
from edgekit.converters.targets.prepare_worker import Facts

PREPARED = Facts("pixels", 8, (127.5,) * 3, (127.5,) * 3, 0, 0, ())
COUNT = {"layers": 40, "own": 50, "merged": 30, "none": 2}
FEW = Mix(0.99, 0.99123, ("Add a", "MatMul b"), ("a", "b", "c"), 100)
MANY = Mix(0.995, 0.99678, tuple(f"Conv {number}" for number in range(11)), ("a", "b", "c", "d"), 900)
TRIED = [
    {"name": "hybrid, the 2 most sensitive parts in float16", "layers": 3, "reached": 0.98765},
    {"name": "hybrid, the 11 most sensitive parts in float16", "layers": 12, "reached": 0.99512},
    {"name": "hybrid, layers below 0.98 in float16", "layers": 0, "reached": 0.992},
]


def _card(chosen: int, *, count=COUNT, worst=(), mixes=(FEW, MANY)) -> dict[str, str]:
    result = {"attempts": TRIED[: chosen + 1], "chosen": chosen, "worst": worst, "nodes": count, "version": "2.5.0"}
    return rknn._facts(result, PREPARED, mixes)


def test_every_attempt_is_told_with_its_layers_and_its_figure() -> None:
    assert _card(2)["attempts"] == (
        "hybrid, the 2 most sensitive parts in float16 (3 layers): centred cosine 0.9877; "
        "hybrid, the 11 most sensitive parts in float16 (12 layers): centred cosine 0.9951; "
        "hybrid, layers below 0.98 in float16: centred cosine 0.9920"
    )


def test_the_taken_mix_is_told_with_its_parts() -> None:
    card = _card(0)
    assert card["chosen"] == TRIED[0]["name"]
    assert card["chosen by"] == "centred cosine 0.9912 on an emulated chip"
    assert card["parts in float16, the most sensitive for their size first"] == "Add a; MatMul b"
    assert card["layers in float16"] == "3 of 40"
    assert card["nodes"] == "50 have a layer, 30 were merged into one, 2 have none"


def test_many_parts_are_counted() -> None:
    told = _card(1)["parts in float16, the most sensitive for their size first"]
    assert told.startswith("Conv 0; Conv 1; ")
    assert told.endswith("Conv 7; and 3 more")


def test_what_the_tool_chose_is_not_claimed() -> None:
    card = _card(2, count={})
    assert card["chosen"] == TRIED[2]["name"]
    assert not {"chosen by", "layers in float16", "nodes"} & set(card)
    assert not any(name.startswith("parts") for name in card)


def test_eight_bits_that_do_name_no_parts() -> None:
    nothing = Mix(0.99, 0.999, (), (), 0)
    assert set(_card(0, mixes=(nothing,), count={})) == {"attempts", "chosen"}


def test_float16_has_no_mixes() -> None:
    assert set(_card(0, mixes=(), count={})) == {"attempts", "chosen"}


def test_the_tools_own_analysis_is_told() -> None:
    card = _card(0, worst=[("[Conv] a", 0.98), ("[Add] b", 0.9912)])
    assert card["layers that lose most"] == "[Conv] a 0.9800; [Add] b 0.9912"
