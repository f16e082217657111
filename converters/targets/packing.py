"""Write the new bundle: the compiled variant beside what the old bundle held."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgekit import __version__, golden
from edgekit.atomic import write_bytes
from edgekit.bundle import provenance
from edgekit.bundle.manifest import TowerRecord, VariantRecord
from edgekit.bundle.writer import write_bundle
from edgekit.converters import card, verdict
from edgekit.converters.quantize.data import GOLDEN, HELD_OUT
from edgekit.errors import ConversionError
from edgekit.fidelity import agreement

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.bundle.manifest import Fidelity
    from edgekit.bundle.reader import Bundle
    from edgekit.converters.quantize.data import Material
    from edgekit.converters.targets.protocol import Target
    from edgekit.converters.targets.records import Built, Chip
    from edgekit.golden import TowerName

CARD = "card.md"


@dataclass(frozen=True)
class Job:
    """What there is to pack.

    Attributes:
        bundle: the old one.
        chip: that was compiled for.
        target: that compiled.
        precision: that was asked for.
        built: per tower, what was compiled.
        fidelity: on the held-out data.
        material: the data.
    """

    bundle: Bundle
    chip: Chip
    target: Target
    precision: str
    built: dict[TowerName, Built]
    fidelity: Fidelity
    material: Material


@dataclass(frozen=True)
class Packed:
    """The new variant's id, and the size of each tower's files in bytes."""

    id: str
    sizes: dict[TowerName, int]


def pack(job: Job, tree: Path, out: Path) -> Packed:
    """Write the bundle.

    Args:
        job: what to pack.
        tree: an absent folder on the same disk as `out`.
        out: the ``.edge`` file to create or replace; it appears whole or not at all.

    Returns:
        The new variant.

    Raises:
        BundleError: the old bundle is damaged.
        ConversionError: two files that the target made have one name.
        InputError: `out` cannot be written.
    """
    manifest = job.bundle.manifest
    name = f"{job.chip.name}-{job.precision}"
    tree.mkdir()
    variant = _variant(job, tree, name)
    others = tuple(one for one in manifest.variants if one.id != name)
    # A variant of the same name, made before, gives way with its files.
    dropped = {
        path
        for one in manifest.variants
        if one.id == name
        for tower in one.towers.values()
        for path in (tower.artifact, *tower.sidecars)
    }
    for file in manifest.files:
        if file.path not in dropped and not (tree / file.path).exists():
            with _made(tree / file.path).open("wb") as stream:
                stream.write(job.bundle.read(file.path))
    before = (tree / CARD).read_text(encoding="utf-8") if (tree / CARD).exists() else f"# {manifest.name}\n"
    title = f"Compiled for {job.chip.name} in {job.precision}"
    write_bytes(tree / CARD, card.with_section(before, title, _section(job, variant)).encode())
    steps = provenance.extend(manifest.provenance, "compile", _details(job, variant))
    write_bundle(out, replace(manifest, variants=(*others, variant), provenance=steps, files=()), tree)
    return Packed(name, {tower: sum(file.stat().st_size for file in one.files) for tower, one in job.built.items()})


def _variant(job: Job, tree: Path, name: str) -> VariantRecord:
    towers = {tower: _tower(job, tree, f"variants/{name}", tower, one) for tower, one in job.built.items()}
    toolchain = {tool: version for one in job.built.values() for tool, version in one.toolchain.items()}
    return VariantRecord(
        id=name,
        format=job.target.format,
        target=job.chip.name,
        precision=job.precision,
        image=towers["image"],
        text=towers["text"],
        toolchain={**toolchain, "edgekit": __version__},
        fidelity=job.fidelity,
    )


def _tower(job: Job, tree: Path, home: str, tower: TowerName, built: Built) -> TowerRecord:
    paths = [f"{home}/{file.name}" for file in built.files]
    for path, file in zip(paths, built.files, strict=True):
        if (tree / path).exists():
            raise ConversionError(
                f"the {tower} tower for {job.chip.name}: {file.name} is the name of two files of its target, which lie "
                "in one folder of the bundle; this is a fault of the target. No bundle was written"
            )
        shutil.copyfile(file, _made(tree / path))
    measured = agreement(built.rows[GOLDEN], golden.reference(job.bundle, tower))
    return TowerRecord(paths[0], tuple(paths[1:]), built.input, built.output, measured, verdict.tolerance(measured))


def _details(job: Job, variant: VariantRecord) -> dict[str, str]:
    return {
        "variant": variant.id,
        "target": job.chip.name,
        "proof": job.chip.proof,
        "precision": job.precision,
        **{f"precision_{tower}": one.precision for tower, one in job.built.items()},
        "source_bundle": job.bundle.digest,
        "data": job.material.name,
        "held_out_digest": job.material.parts[HELD_OUT].digest,
        **{f"version_{name}": version for name, version in variant.toolchain.items()},
    }


def _section(job: Job, variant: VariantRecord) -> str:
    found = job.fidelity
    top1 = found.image_to_text.top1
    proof = (
        f"Proof: {job.chip.proof}. Of {top1.n} images of `{found.data}` that took no part in it, {top1.value:.1%} "
        f"(± {top1.error:.1%}) find the float model's best text."
    )
    lines = [
        proof,
        "",
        "| tower | precision | MB | cosine (mean) | centred cosine (mean) | centred (min) | compiled in s | peak GB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for tower, one in job.built.items():
        seen = found.image if tower == "image" else found.text
        size = sum(file.stat().st_size for file in one.files) / 1e6
        memory = f"{one.peak_bytes / 1e9:.1f}" if one.peak_bytes else "unmeasured"
        lines.append(
            f"| {tower} | {one.precision} | {size:.1f} | {seen.cosine_mean:.5f} | {seen.centred_mean:.5f} "
            f"| {seen.centred_min:.5f} | {one.seconds:.0f} | {memory} |"
        )
    lines.append("")
    for tower, one in job.built.items():
        lines += [f"- {tower}, {name}: {value}" for name, value in one.facts.items()]
    tools = ", ".join(f"{name} {version}" for name, version in variant.toolchain.items())
    return "\n".join([*lines, "", f"Made with {tools}."])


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
