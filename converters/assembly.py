"""Lay out a bundle's tree in the work folder and write down everything about it in a manifest."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import __version__
from edgekit.atomic import write_bytes
from edgekit.bundle import provenance, schema
from edgekit.bundle.manifest import (
    SCHEMA_VERSION,
    Agreement,
    EmbeddingSpec,
    Manifest,
    SourceRecord,
    TowerRecord,
    VariantRecord,
)
from edgekit.converters import exchange, verdict
from edgekit.converters.card import card, with_section
from edgekit.converters.golden_files import write_golden
from edgekit.golden import TowerName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.converters.exchange import Facts

TREE = "tree"
VERSION = "1"
_PRECISION = {"float32": "fp32", "float16": "fp16-weights", "int8": "int8"}


@dataclass(frozen=True)
class Identity:
    """What the user chose to call the bundle; None or empty takes the source's own."""

    name: str | None
    license: str | None
    templates: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """What the steps of a conversion found.

    Attributes:
        source: as the user gave it.
        photos: the photos it was checked on.
        graphs: folder of the graphs to pack.
        storage: per tower, how its weights are stored.
        fidelity: per tower, agreement with the source.
        preprocessing: agreement of pixels and ids.
        trim_padding: whether padding columns may be cut.
        litert: the LiteRT variant, whose files lie in the folder ``litert`` of the work folder; None without one.
    """

    source: str
    photos: tuple[Path, ...]
    graphs: Path
    storage: dict[TowerName, str]
    fidelity: dict[TowerName, Agreement]
    preprocessing: verdict.Preprocessing
    trim_padding: bool
    litert: VariantRecord | None = None


def build_tree(folder: Path, result: Result, identity: Identity) -> tuple[Manifest, dict[TowerName, int]]:
    """Move and write every member of the bundle under ``tree`` in the work folder.

    Args:
        folder: the work folder.
        result: what the steps before found.
        identity: what the user chose to call it.

    Returns:
        The manifest, complete but for ``files``, and each tower's size in bytes.
    """
    facts, tree = exchange.read_facts(folder), folder / TREE
    golden = write_golden(folder, tree, result.photos, exchange.read_request(folder).texts)
    variant = _variant(tree, result, facts)
    variants = (variant, *_more_variants(folder, tree, result))
    reading = exchange.text_spec(facts, trim_padding=result.trim_padding)
    (tree / "text").mkdir()
    (folder / exchange.TOKENIZER).rename(tree / reading.tokenizer)
    steps = provenance.extend(
        facts.history,
        "convert",
        {
            "source": result.source,
            "weights_sha256": facts.weights_sha256,
            **{f"{tower}_storage": how for tower, how in result.storage.items()},
            **{f"version_{name}": version for each in variants for name, version in each.toolchain.items()},
        },
    )
    templates = identity.templates or facts.templates
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=identity.name or facts.name,
        version=VERSION,
        license=identity.license or facts.license,
        description=facts.description,
        source=SourceRecord(result.source, facts.weights_sha256),
        embedding=EmbeddingSpec(
            space=facts.space,
            dimension=facts.dimension,
            logit_scale=facts.logit_scale,
            logit_bias=facts.logit_bias,
            scores=facts.scores,
        ),
        image=facts.image,
        text=replace(reading, templates=templates),
        variants=variants,
        golden=golden,
        provenance=steps,
        files=(),
    )
    sizes: dict[TowerName, int] = {name: _size(tree, tower) for name, tower in variant.towers.items()}
    page = card(manifest, result.preprocessing, sizes)
    for title, body in facts.sections.items():
        page = with_section(page, title, body)
    write_bytes(tree / "card.md", page.encode())
    for path, file in facts.attachments.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, tree / path)
    return manifest, sizes


def precision_of(storage: Mapping[TowerName, str]) -> str:
    """Name the precision of a variant by how its towers' weights are stored."""
    kinds = sorted({_PRECISION[kind] for kind in storage.values()})
    return kinds[0] if len(kinds) == 1 else "mixed"


def _variant(tree: Path, result: Result, facts: Facts) -> VariantRecord:
    precision = precision_of(result.storage)
    home = f"variants/{precision}"
    (tree / home).mkdir(parents=True)
    shapes = schema.loads(exchange.Shapes, (result.graphs / exchange.SHAPES).read_bytes(), exchange.SHAPES)
    towers: dict[TowerName, TowerRecord] = {}
    tensors_of: dict[TowerName, exchange.Tensors] = {"image": shapes.image, "text": shapes.text}
    for tower, tensors in tensors_of.items():
        files = [path.rename(tree / home / path.name).name for path in sorted(result.graphs.glob(f"{tower}.onnx*"))]
        found = result.fidelity[tower]
        towers[tower] = TowerRecord(
            artifact=f"{home}/{tower}.onnx",
            sidecars=tuple(f"{home}/{name}" for name in files if name != f"{tower}.onnx"),
            input=tensors.input,
            output=tensors.output,
            fidelity=found,
            tolerance=verdict.tolerance(found),
        )
    toolchain = {**facts.toolchain, "edgekit": __version__, "onnxruntime": shapes.engine}
    return VariantRecord(precision, "onnx", "any", precision, towers["image"], towers["text"], toolchain)


def _more_variants(folder: Path, tree: Path, result: Result) -> tuple[VariantRecord, ...]:
    if result.litert is None:
        return ()
    for tower in result.litert.towers.values():
        target = tree / tower.artifact
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / "litert" / target.name).rename(target)
    return (result.litert,)


def _size(tree: Path, tower: TowerRecord) -> int:
    return sum((tree / path).stat().st_size for path in (tower.artifact, *tower.sidecars))
