"""The chain of steps: made link by link, and any alteration of any link shows."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.bundle import provenance
from edgekit.bundle.manifest import Step

DETAILS = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)
CHAINS = st.lists(st.tuples(st.text(max_size=8), DETAILS), min_size=1, max_size=4)


def _chain(steps: list[tuple[str, dict[str, str]]]) -> tuple[Step, ...]:
    chain: tuple[Step, ...] = ()
    for action, details in steps:
        chain = provenance.extend(chain, action, details)
    return chain


THREE = _chain([("convert", {"source": "a"}), ("quantize", {"bits": "8", "backend": "x"}), ("pack", {})])


def test_each_step_carries_the_digest_of_the_one_before() -> None:
    assert [step.previous for step in THREE] == ["", THREE[0].digest, THREE[1].digest]
    assert len({step.digest for step in THREE}) == 3
    assert provenance.problem(THREE) == ""


def test_the_digest_is_what_the_manifest_reference_says() -> None:
    text = f'["quantize", {{"backend": "x", "bits": "8"}}, "{THREE[0].digest}"]'
    assert THREE[1].digest == hashlib.sha256(text.encode()).hexdigest()
    umlaut = provenance.extend((), "é", {})[0]
    assert umlaut.digest == hashlib.sha256(b'["\\u00e9", {}, ""]').hexdigest()


def test_extending_changes_nothing() -> None:
    details = {"a": "1"}
    chain = provenance.extend((), "convert", details)
    longer = provenance.extend(chain, "again", details)
    details["a"] = "2"
    assert longer[0] is chain[0]
    assert longer[1].details == {"a": "1"}
    assert provenance.problem(longer) == ""


def test_no_steps_at_all() -> None:
    assert provenance.problem(()) == "is empty"


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize(
    "change", [{"action": "other"}, {"details": {"source": "b"}}, {"details": {"": ""}}, {"digest": "0" * 64}]
)
def test_an_altered_step(index: int, change: dict[str, str]) -> None:
    chain = list(THREE)
    chain[index] = replace(chain[index], **change)  # type: ignore[arg-type]
    assert f"step {index} ({chain[index].action}) was altered" == provenance.problem(chain)


def test_a_step_removed_repeated_or_moved() -> None:
    a, b, c = THREE
    assert provenance.problem([b, c]) == "step 0 (quantize) does not follow the step before it"
    assert provenance.problem([a, c]) == "step 1 (pack) does not follow the step before it"
    assert provenance.problem([a, a, b, c]) == "step 1 (convert) does not follow the step before it"
    assert provenance.problem([b, a, c]) == "step 0 (quantize) does not follow the step before it"


def test_a_step_altered_together_with_its_digest_breaks_the_next() -> None:
    a, b, c = THREE
    forged = provenance.extend((), a.action, {"source": "another"})[0]
    assert provenance.problem([forged, b, c]) == "step 1 (quantize) does not follow the step before it"


@settings(max_examples=100, deadline=None)
@given(CHAINS, st.data())
def test_any_chain_holds_and_any_swap_of_details_shows(
    steps: list[tuple[str, dict[str, str]]], data: st.DataObject
) -> None:
    chain = list(_chain(steps))
    assert provenance.problem(chain) == ""
    index = data.draw(st.integers(0, len(chain) - 1))
    details = data.draw(DETAILS)
    chain[index] = replace(chain[index], details=details)
    assert (provenance.problem(chain) == "") == (details == steps[index][1])
