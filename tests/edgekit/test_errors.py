"""Errors that another process named come back as themselves."""

from __future__ import annotations

import pytest

from edgekit import errors
from edgekit.errors import ConversionError


@pytest.mark.parametrize("kind", ["Nonsense", "", "ValueError", "annotations", "__name__", "__doc__"])
def test_what_is_no_error_of_ours_is_of_the_kind_that_was_asked_for(kind: str) -> None:
    found = errors.named(kind, "what went wrong", ConversionError)
    assert (type(found), str(found)) == (ConversionError, "what went wrong")


@pytest.mark.parametrize("kind", [k for k, v in vars(errors).items() if isinstance(v, type)])
def test_every_error_of_ours_keeps_its_type(kind: str) -> None:
    found = errors.named(kind, "what went wrong", ConversionError)
    assert (type(found), str(found)) == (getattr(errors, kind), "what went wrong")
