"""``edgekit embed``."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.options import PATH, json_option, lines_of, load_options, per_tower, settings
from edgekit.clip import CHUNK, Clip
from edgekit.errors import ImageError, InputError
from edgekit.loading import load
from edgekit.vectors import VectorWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgekit.golden import TowerName
    from edgekit.policies import Policy

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


@dataclass
class _Tally:
    skipped: list[str] = field(default_factory=list)


@click.command()
@click.argument("bundle")
@click.argument("paths", nargs=-1, type=PATH, metavar="[PATH]...")
@click.option("-o", "--output", required=True, type=PATH, metavar="OUT.npz", help="The archive to write.")
@click.option("--text", "texts", multiple=True, metavar="TEXT", help="A text to embed; repeatable.")
@click.option("--texts-file", type=PATH, metavar="FILE", help="Texts to embed, one a line.")
@click.option("--strict", is_flag=True, help="Stop at the first broken photo instead of skipping it.")
@load_options
@json_option
def embed(
    bundle: str,
    paths: tuple[Path, ...],
    output: Path,
    texts: tuple[str, ...],
    texts_file: Path | None,
    strict: bool,
    variant: str | None,
    runtime: str | None,
    device: str,
    policy: Policy | None,
    threads: int | None,
    engine_options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Embed photos and texts into a NumPy archive.

    PATH is a photo, or a folder that is searched for photos. Memory stays bounded however many there are. The archive
    holds embeddings (N, D) float32, names, kinds and space; photos first, then texts.
    """
    _check_output(output)
    wanted = [*texts, *(lines_of(texts_file, "text") if texts_file else [])]
    if not paths and not wanted:
        raise InputError("nothing to embed; give photos, folders, --text TEXT or --texts-file FILE")
    missing = next((path for path in paths if not path.exists()), None)
    if missing is not None:
        raise InputError(f"{missing}: no such file or folder")
    towers: list[TowerName] = [*(["image"] if paths else []), *(["text"] if wanted else [])]  # type: ignore[list-item]
    options = settings(threads, engine_options)
    tally = _Tally()
    with (
        load(
            bundle,
            variant=per_tower(variant),
            runtime=per_tower(runtime),
            device=per_tower(device),
            policy=policy,
            settings=options,
            towers=towers,
        ) as clip,
        VectorWriter(output, clip.dimension, clip.space) as writer,
    ):
        for names in _shown(paths):
            _add_photos(clip, writer, names, strict, tally)
        for start in range(0, len(wanted), CHUNK):
            part = wanted[start : start + CHUNK]
            writer.add("text", part, clip.embed_texts(part))
        if not writer.count:
            raise InputError(f"{paths[0]}: no photo could be embedded")
        writer.finish()
        summary = {"output": str(output), "rows": writer.count, "dimension": clip.dimension, "space": clip.space}
    if as_json:
        click.echo(json.dumps({**summary, "skipped": tally.skipped}, indent=2))
    else:
        skipped = f", {len(tally.skipped)} skipped" if tally.skipped else ""
        click.echo(f"{output}: {summary['rows']} rows of {summary['dimension']}{skipped}")


def _add_photos(clip: Clip, writer: VectorWriter, names: list[str], strict: bool, tally: _Tally) -> None:
    try:
        writer.add("image", names, clip.embed_images(names))
    except ImageError as error:
        if strict:
            raise
        if len(names) == 1:
            tally.skipped.append(names[0])
            click.echo(f"skipped: {error}", err=True)
            return
        # One of the batch is broken: the others must not suffer for it.
        for name in names:
            _add_photos(clip, writer, [name], strict, tally)


def _photos(paths: Iterable[Path]) -> Iterator[str]:
    """Yield the files named, and the image files below the folders named, in a stable order."""
    for path in paths:
        if not path.is_dir():
            yield str(path)
            continue
        for folder, folders, files in os.walk(path, onerror=_unreadable):
            folders.sort()
            for name in sorted(files):
                if Path(name).suffix.lower() in SUFFIXES:
                    yield str(Path(folder) / name)


def _unreadable(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be searched: {error.strerror}") from error


def _batches(names: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(names, CHUNK)):
        yield batch


def _shown(paths: tuple[Path, ...]) -> Iterator[list[str]]:
    """Yield batches of photos; only a terminal's progress bar needs their number, and a second walk to count them."""
    batches = _batches(_photos(paths))
    if not sys.stderr.isatty():
        yield from batches
        return
    total = sum(1 for _ in _photos(paths))
    with click.progressbar(length=total, label="photos", file=sys.stderr, show_pos=True) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch))


def _check_output(output: Path) -> None:
    if output.suffix != ".npz":
        raise InputError(f"{output}: the archive's name ends in .npz")
    if output.is_dir() or not output.parent.is_dir():
        raise InputError(f"{output}: is a folder, or the folder {output.parent} does not exist")
