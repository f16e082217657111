"""Prompt templates: a label becomes several sentences, whose embeddings are averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import TextError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SLOT = "{}"


def fill_templates(label: str, templates: Sequence[str]) -> list[str]:
    """Put a label into each template.

    The label is inserted literally: braces in it mean nothing, and nothing in it is evaluated.

    Args:
        label: any text.
        templates: sentences with exactly one ``{}``; other braces are kept as they are. An empty sequence gives an
            empty list.

    Returns:
        One sentence per template, in order.

    Raises:
        TextError: a template is not a string or does not have exactly one ``{}``, or the label is not a string.
    """
    if not isinstance(label, str):
        msg = f"label is {type(label).__name__}, expected a string"
        raise TextError(msg)
    if isinstance(templates, str):
        msg = f"templates is one string, expected a sequence of strings: use [{templates!r}]"
        raise TextError(msg)
    return [_fill(label, template, index) for index, template in enumerate(templates)]


def _fill(label: str, template: str, index: int) -> str:
    if not isinstance(template, str):
        msg = f"template {index} is {type(template).__name__}, expected a string"
        raise TextError(msg)
    found = template.count(_SLOT)
    if found != 1:
        msg = f"template {index} ({template!r}) has {found} times {{}}, expected exactly one: write 'a photo of a {{}}'"
        raise TextError(msg)
    before, after = template.split(_SLOT)
    return before + label + after
