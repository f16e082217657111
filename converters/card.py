"""`card.md`: what the model is for, its licence, what was measured, and its limits, for a person to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.bundle.manifest import Agreement, Manifest
    from edgekit.converters.verdict import Preprocessing
    from edgekit.golden import TowerName


def card(manifest: Manifest, preprocessing: Preprocessing, sizes: Mapping[TowerName, int]) -> str:
    """Return the card as Markdown.

    Args:
        manifest: complete but for ``files``.
        preprocessing: as measured.
        sizes: bytes per tower.

    Returns:
        Markdown.
    """
    variant, image, text = manifest.variants[0], manifest.image, manifest.text
    rows = [_row(name, sizes[name], tower.fidelity) for name, tower in variant.towers.items()]
    texts = f"{text.context_length} tokens, templates {', '.join(f'`{t}`' for t in text.templates)}" if text else "none"
    scale = f"{manifest.embedding.scores}, logit scale {manifest.embedding.logit_scale:.4g}"
    return "\n".join(
        [
            f"# {manifest.name}",
            "",
            manifest.description,
            "",
            f"- Source: `{manifest.source.uri}`, weights sha256 `{manifest.source.sha256}`",
            f"- Licence of the weights: {manifest.license}",
            f"- Embedding: {manifest.embedding.dimension} dimensions, space `{manifest.embedding.space}`, {scale}",
            f"- Photos: {image.width}×{image.height}, resize {image.resize_mode}, {image.interpolation}",
            f"- Texts: {texts}",
            "",
            "## Measured when it was made, against the float source",
            "",
            "| tower | MB | inputs | max error | cosine (min) | centred cosine (min) |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            _differences(preprocessing),
            "",
            "Golden photos: those of edgekit (`samples/photos/LICENSES.md`) unless others were given to the converter.",
            "",
        ]
    )


def _row(name: str, size: int, found: Agreement) -> str:
    return (
        f"| {name} | {size / 1e6:.1f} | {found.n} | {found.max_error:.1e} "
        f"| {found.cosine_min:.6f} | {found.centred_min:.6f} |"
    )


def _differences(found: Preprocessing) -> str:
    return (
        f"Pixels against the checkpoint's own transform: at most {found.pixels_max} of 255 apart, "
        f"{found.pixels_equal:.2%} equal. Token ids: equal on all {found.texts} texts."
    )


def with_section(before: str, title: str, body: str) -> str:
    """Return a card with a section of a later step, which takes the place of an older one with the same title.

    Args:
        before: the card.
        title: of the section, without ``##``.
        body: Markdown.

    Returns:
        Markdown; the section comes last.
    """
    head = f"## {title}"
    kept: list[str] = []
    inside = False
    for line in before.rstrip("\n").split("\n"):
        if line.startswith("## "):
            inside = line == head
        if not inside:
            kept.append(line)
    parts = ("\n".join(kept).rstrip("\n"), head, body.strip("\n"))
    return "\n\n".join(part for part in parts if part) + "\n"
