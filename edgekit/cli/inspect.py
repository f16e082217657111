"""``edgekit inspect``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edgekit.bundle import schema
from edgekit.bundle.reader import open_bundle
from edgekit.cli.options import json_option
from edgekit.locations import resolve

if TYPE_CHECKING:
    from edgekit.bundle.label_records import LabelSpec
    from edgekit.bundle.manifest import TowerRecord
    from edgekit.bundle.reader import Bundle

_SHOWN = 10


@click.command()
@click.argument("bundle")
@json_option
def inspect(bundle: str, as_json: bool) -> None:
    """Show what is in a bundle, without running it.

    BUNDLE is a .edge file, an unpacked bundle, or the name 'starter'. --json prints the manifest.
    """
    opened = open_bundle(resolve(bundle))
    click.echo(schema.dumps(opened.manifest).rstrip() if as_json else summary(opened))


def summary(bundle: Bundle) -> str:
    """Return a bundle's facts as text for a person."""
    manifest = bundle.manifest
    image, text, embedding = manifest.image, manifest.text, manifest.embedding
    templates = ", ".join(text.templates) if text else ""
    total = sum(record.size for record in manifest.files)
    lines = [
        f"{manifest.name} {manifest.version}  {total / 1e6:.1f} MB  sha256:{bundle.digest[:12]}",
        manifest.description,
        f"licence    {manifest.license}",
        f"source     {manifest.source.uri}",
        f"embedding  {embedding.dimension} dimensions, {embedding.scores}, space {embedding.space}",
        f"photos     {image.width}x{image.height}, {image.resize_mode}, {image.interpolation}",
        f"texts      {text.context_length} tokens, cleaning {text.cleaning}, templates {templates}"
        if text
        else "texts      none: no text tower",
        *_labels(manifest.labels),
        f"golden     {len(manifest.golden.images)} photos, {len(manifest.golden.texts)} texts",
        "variants",
    ]
    sizes = {record.path: record.size for record in manifest.files}
    for variant in manifest.variants:
        lines.append(f"  {variant.id}  {variant.format}  for {variant.target}")
        lines += [_tower(name, tower, sizes) for name, tower in variant.towers.items()]
        if variant.labels is not None:
            arrays = sum(sizes[path] for path in variant.labels.paths.values())
            lines.append(f"    labels{arrays / 1e6:7.2f} MB")
    lines.append("made by    " + " > ".join(step.action for step in manifest.provenance))
    return "\n".join(lines)


def _tower(name: str, tower: TowerRecord, sizes: dict[str, int]) -> str:
    size = sum(sizes[path] for path in (tower.artifact, *tower.sidecars))
    shape = "x".join(map(str, tower.input.shape))
    found = tower.fidelity
    return (
        f"    {name:<6}{size / 1e6:7.1f} MB  {tower.input.dtype} {shape}  "
        f"cosine {found.cosine_min:.6f}, centred {found.centred_min:.6f} (least of {found.n})"
    )


def _labels(labels: LabelSpec | None) -> list[str]:
    if labels is None:
        return []
    shown = ", ".join(labels.names[:_SHOWN]) + (", …" if len(labels.names) > _SHOWN else "")
    lines = [f"labels     {len(labels.names)} frozen: {shown}"]
    head = labels.head
    if head is not None:
        right = f"{head.tuned:.1%} right in cross-validation, {head.zero_shot:.1%} without it"
        lines.append(f"head       {head.kind}, from {head.examples} examples of {head.data}: {right}")
    return lines
