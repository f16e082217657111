"""Refuse settings of a recipe that an architecture does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.converters.distill.recipe import Part


def unused(where: str, arch: str, settings: Mapping[str, int | str]) -> None:
    """Refuse settings that would have no effect.

    Args:
        where: the part of the recipe.
        arch: the architecture.
        settings: by field, those that it does not have; 0 or an empty string is not given.

    Raises:
        InputError: one is given.
    """
    for field, value in settings.items():
        if value:
            raise InputError(f"{where}.{field}: {arch} has no such choice; leave it out")


def at_least(field: str, value: int, least: int) -> int:
    """Return `value`, or refuse it.

    Args:
        field: of the recipe.
        value: given.
        least: allowed.

    Returns:
        `value`.

    Raises:
        InputError: it is smaller.
    """
    if value < least:
        raise InputError(f"{field}: must be at least {least}, got {value}")
    return value


def check_heads(where: str, width: int, heads: int) -> None:
    """Refuse heads that do not divide the width.

    Args:
        where: the part of the recipe.
        width: channels of a token.
        heads: attention heads.

    Raises:
        InputError: they do not.
    """
    if width % heads:
        raise InputError(f"{where}.heads: {heads} does not divide the width, {width}")


def check_train(where: str, train: Part, rank: int, has_weights: bool) -> None:
    """Refuse to train only a part of a tower that starts from random weights.

    Args:
        where: the part of the recipe.
        train: what is to be trained.
        rank: of LoRA.
        has_weights: whether the tower starts from weights.

    Raises:
        InputError: it does not, or the rank is not positive.
    """
    if train != "all" and not has_weights:
        raise InputError(
            f"{where}.train: {train} changes a part of given weights, and this tower starts from random ones; give "
            f"{where}.weights, or arch teacher"
        )
    if train == "lora":
        at_least(f"{where}.rank", rank, 1)


def must_be(field: str, given: int, own: int) -> None:
    """Refuse a size that differs from that of given weights.

    Args:
        field: of the recipe.
        given: what it says; 0 says nothing.
        own: of the weights.

    Raises:
        InputError: they differ.
    """
    if given and given != own:
        raise InputError(f"{field}: must be {own}, that of the weights it starts from; got {given}")
