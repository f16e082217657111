"""One name or one for each tower, on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli_runner import fails, run
from edgekit.cli.main import FAILED
from edgekit.cli.options import per_tower
from edgekit.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, None),
        ("cpu", "cpu"),
        ("delegate:/lib/a=b,c.so", "delegate:/lib/a=b,c.so"),
        ("image=qnn:QCS6490,text=cpu", {"image": "qnn:QCS6490", "text": "cpu"}),
        ("text=cpu", {"text": "cpu"}),
        ("image=delegate:/a=b.so", {"image": "delegate:/a=b.so"}),
        ("image= npu , text=cpu", {"image": "npu", "text": "cpu"}),
    ],
)
def test_what_is_read(given: Any, found: Any) -> None:
    assert per_tower(given) == found


@pytest.mark.parametrize("given", ["image=", "image=a,image=b", "image=a,b", "text=a,picture=b", "image=a,", "text=,"])
def test_what_is_refused(given: str) -> None:
    with pytest.raises(InputError, match="write each tower once, such as image=NAME,text=NAME"):
        per_tower(given)


@given(st.text())
def test_anything_else_is_one_name_or_an_error(text: str) -> None:
    try:
        found = per_tower(text)
    except InputError:
        assert text.startswith(("image=", "text="))
    else:
        assert found == text or (isinstance(found, dict) and set(found) <= {"image", "text"})


def test_classify_places_towers_and_says_so(tiny_bundle: Path, photos: list[Path]) -> None:
    done = run("classify", tiny_bundle, photos[0], "--label", "a cat", "--device", "image=cpu,text=cpu", "--explain")
    assert "chosen for latency: image tower: fp32 on onnxruntime" in done.stderr
    assert "a cat" in done.stdout


def test_embed_takes_a_policy(tiny_bundle: Path, photos: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "rows.npz"
    run("embed", tiny_bundle, photos[0], "-o", out, "--policy", "power", "--device", "image=cpu,text=cpu")
    assert out.exists()


def test_a_wrong_policy_or_device_is_one_error(tiny_bundle: Path, photos: list[Path]) -> None:
    told = fails("classify", tiny_bundle, photos[0], "--label", "a cat", "--policy", "speed")
    assert "'latency', 'power', 'accuracy'" in told
    told = fails(
        "classify",
        tiny_bundle,
        photos[0],
        "--label",
        "a cat",
        "--device",
        "image=npu",
        code=FAILED,
    )
    assert "no device 'npu'" in told
