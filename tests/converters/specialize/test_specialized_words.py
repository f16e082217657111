"""What a specialized bundle's card and the command say, with and without examples; and files of labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.bundle.manifest import Manifest
from edgekit.bundle.reader import open_bundle
from edgekit.converters.specialize import sheet
from edgekit.converters.specialize.heads import Choice
from edgekit.converters.specialize.labels_file import normal, read_labels
from edgekit.converters.specialize.records import Report
from edgekit.converters.specialize.selection import Selection, Trial
from edgekit.errors import TextError
from edgekit.evaluation.metrics import Interval, McNemar
from frozen_bundle import NAMES, freeze

ZERO = Trial("zero-shot", Interval(0.5, 0.4, 0.6, 20), None)
RIDGE = Choice("ridge", 1.0, 0.0, 0.5)
REPORT = Report(
    bundle="a.edge",
    out="b.edge",
    size_before=9_000_000,
    size=4_000_000,
    labels=NAMES,
    variants=("fp32", "int8"),
    text_kept=False,
    data="",
    examples=0,
    trials=(),
    choice=None,
    notes=(),
    skipped=(),
    seconds=3.4,
)


def compared(p: float) -> Trial:
    found = McNemar(**{**_counts(), "mid_p": p})
    return Trial("ridge", Interval(0.75, 0.6, 0.9, 20), found)


def _counts() -> dict[str, float]:
    """Every field of a test, the two counts told apart."""
    values = dict.fromkeys(McNemar.__dataclass_fields__, 0)
    return {**values, "only_first": 2, "only_second": 7}


@pytest.fixture(scope="module", name="manifest")
def _manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return open_bundle(freeze(tmp_path_factory.mktemp("words") / "a.edge")).manifest


def section(manifest: Manifest, selection: Selection | None = None) -> str:
    return sheet.section(manifest, selection, {file.path: file.size for file in manifest.files}, 12_000)


def test_a_report_without_examples_says_what_was_made() -> None:
    assert sheet.table(REPORT).splitlines() == [
        "b.edge  4.0 MB (was 9.0 MB)  3 s",
        "labels     4: cat, dog, cup of coffee, rocket",
        "variants   fp32, int8; text tower left out",
        "now measure it on photos that it has not seen: edgekit eval b.edge --data SET",
    ]


@pytest.mark.parametrize(
    ("p", "shown"), [(0.0004, "p below 0.001"), (0.001, "p 0.001"), (0.5, "p 0.500"), (1.0, "p 1.000")]
)
def test_a_report_with_examples_compares_the_heads(p: float, shown: str) -> None:
    made = replace(
        REPORT, data="mine", examples=20, trials=(ZERO, compared(p)), choice=RIDGE, text_kept=True, notes=("n",)
    )
    text = sheet.table(made)
    assert "; text tower kept" in text
    assert "examples   20 of mine, 5-fold cross-validation" in text
    assert "  zero-shot  50.0 % right [40.0, 60.0]\n" in text
    assert f"  ridge      75.0 % right [60.0, 90.0]  won 7, lost 2, {shown}  taken\n" in text
    assert "note: n\n" in text


def test_zero_shot_is_taken_where_no_head_is() -> None:
    text = sheet.table(replace(REPORT, data="mine", examples=20, trials=(ZERO, compared(0.5))))
    assert "[40.0, 60.0]  taken\n" in text
    assert text.count("taken") == 1


@pytest.mark.parametrize(("count", "more"), [(10, False), (11, True)])
def test_many_labels_are_cut_short_in_a_report(count: int, more: bool) -> None:
    line = sheet.table(replace(REPORT, labels=tuple(f"n{i}" for i in range(count)))).splitlines()[1]
    assert line.startswith(f"labels     {count}: n0, n1, ")
    assert line.endswith(", …") == more
    assert "n10" not in line


def test_a_card_names_labels_templates_and_sizes(manifest: Manifest) -> None:
    text = section(manifest)
    assert text.startswith("4 labels are frozen into this bundle: `cat`, `dog`, `cup of coffee`, `rocket`.\n")
    assert "Templates: `a photo of {}`; 0 labels have prompts of their own." in text
    assert "The text tower was left out: no other label can be scored." in text
    assert "- `fp32`: image tower " in text
    assert "text tower 0" not in text
    assert text.endswith("- the labels' arrays: 0.01 MB")


def test_a_card_of_many_labels_says_how_many_more(manifest: Manifest) -> None:
    assert manifest.labels is not None
    many = tuple(f"label {i}" for i in range(203))
    text = section(replace(manifest, labels=replace(manifest.labels, names=many)))
    assert "`label 199` and 3 more.\n" in text
    assert "label 200" not in text


def test_a_card_writes_a_backquote_as_it_is(manifest: Manifest) -> None:
    assert manifest.labels is not None
    odd = replace(manifest.labels, names=("a`b",), prompts={"a`b": ("one",)})
    text = section(replace(manifest, labels=odd))
    assert "`` a`b ``." in text
    assert "1 labels have prompts of their own" in text


def test_a_card_has_a_row_for_each_head_and_marks_the_one_taken(manifest: Manifest) -> None:
    text = section(manifest, Selection((ZERO, compared(0.02)), RIDGE))
    assert "Examples: 20; 5-fold cross-validation" in text
    assert "| zero-shot | 50.0% | 40.0% to 60.0% |  |  |" in text
    assert "| **ridge**, taken | 75.0% | 60.0% to 90.0% | 7 / 2 | 0.020 |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {6}
    assert "| **zero-shot**, taken |" in section(manifest, Selection((ZERO,), None))
    assert "Examples" not in section(manifest, Selection((), None))


def test_a_bundle_without_labels_has_no_section(manifest: Manifest) -> None:
    assert section(replace(manifest, labels=None)) == ""


LABEL = st.text("abé😀 `'\"{}<>|\\", min_size=1, max_size=6).map(str.strip).filter(bool)


def stored(folder: Path, text: str) -> Path:
    path = folder / "labels.txt"
    path.write_bytes(text.encode())
    return path


@settings(max_examples=40, deadline=None)
@given(labels=st.lists(LABEL, min_size=1, max_size=6, unique_by=normal), twice=st.integers(0, 5))
def test_a_label_may_stand_once_in_either_form(
    tmp_path_factory: pytest.TempPathFactory, labels: list[str], twice: int
) -> None:
    import unicodedata

    folder = tmp_path_factory.mktemp("labels")
    assert read_labels(stored(folder, "\n".join(labels))).names == tuple(labels)
    place = twice % len(labels)
    again = unicodedata.normalize("NFD", labels[place])
    with pytest.raises(TextError) as caught:
        read_labels(stored(folder, "\n\n".join([*labels, f"  {again} \ta prompt"])))
    assert f"line {2 * len(labels) + 1}: " in str(caught.value)
    assert str(caught.value).endswith(f"stands on line {2 * place + 1} already; remove one")


@settings(max_examples=30, deadline=None)
@given(prompts=st.lists(st.text("abc é,", min_size=1, max_size=5).map(str.strip).filter(bool), min_size=1, max_size=5))
def test_prompts_count_once_in_their_order(tmp_path_factory: pytest.TempPathFactory, prompts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("labels")
    found = read_labels(stored(folder, f"cat\t{'; '.join(prompts)}\ndog"))
    assert found.prompts == {"cat": tuple(dict.fromkeys(prompts))}
    assert found.names == ("cat", "dog")
