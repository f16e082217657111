"""What a student's text tower cannot know because of what it is, for its card."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.converters.distill.recipe import TextStudent


def of_text(spec: TextStudent | None) -> Iterator[str]:
    """Tell the limits of a text tower.

    Args:
        spec: the tower; None where it is kept.

    Yields:
        Sentences.
    """
    if spec is None or spec.arch != "static":
        return
    if spec.layers == 0:
        yield (
            "The text tower adds up one vector for each token. It knows no order of words ('a dog bites a man' is the"
            " same as 'a man bites a dog'), nor what a negation belongs to ('a cup without coffee' is near 'a cup of"
            " coffee'). A word has the same vector in every context. Use it for labels and short captions, not for"
            " sentences."
        )
    if spec.vocabulary:
        yield (
            f"It has at most {spec.vocabulary} tokens, those that its training texts use most; other words are written"
            " in smaller pieces, whose sum says less, and scripts that the texts do not use are one unknown token."
        )
