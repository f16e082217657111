"""Rockchip's NPUs, by rknn-toolkit2 and its simulator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.converters.quantize.data import CALIBRATION, SEARCH
from edgekit.converters.targets import prepare_worker, steps
from edgekit.converters.targets.records import Built, Chip

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.converters.targets.mixing import Mix
    from edgekit.converters.targets.records import Precision, TowerJob

_WORKER = Path(__file__).with_name("rknn_worker.py")
_PRECISIONS: tuple[Precision, ...] = ("fp16", "hybrid", "w8a8")
_NAMED = 8
"""Parts of a tower that a card names."""


class Rknn:
    """rknn-toolkit2 2.5.0: fp16, w8a8, and hybrid, where the layers that lose most stay in float16.

    Which ones those are is measured without the tool, on an emulated chip of 8 bits (see `mixing`): as few as reach the
    goal there, then safer choices, then the running sum and the tool's own choice. The first that reaches the goal in
    the vendor's simulator, on inputs that take no part in the proof, is taken.

    Chips with one graph and one result share an entry in the vendor's tool: rk3566 and rk3568 are one NPU.
    """

    @property
    def format(self) -> str:
        """``rknn``."""
        return "rknn"

    @property
    def toolchain(self) -> str:
        """``rknn``."""
        return "rknn"

    def chips(self) -> tuple[Chip, ...]:
        """Return the chips whose simulator edgekit's tests run."""
        notes = {
            "rk3588": "6 TOPS, three cores",
            "rk3576": "6 TOPS, two cores",
            "rk3568": "1 TOPS",
            "rk3566": "1 TOPS",
            "rk3562": "1 TOPS",
        }
        return tuple(
            Chip(name, name, _PRECISIONS, "vendor simulator", f"Rockchip NPU, {notes[name]}") for name in notes
        )

    def towers(self, chip: Chip) -> tuple[str, ...]:
        """Return both towers; the other of a single one is compiled in fp16."""
        return ("image", "text")

    def build(self, job: TowerJob, on_stage: Callable[[str], None]) -> Built:
        """Compile a tower and simulate it; see `Target.build`.

        Args:
            job: what to compile.
            on_stage: called with the name of each stage as it begins.

        Returns:
            The files, and what the simulator computes.

        Raises:
            UnsupportedModelError: an operator is known not to work.
            ConversionError: the tool failed.
        """
        precision = job.precision or "fp16"
        asked = prepare_worker.Request(str(job.master.absolute()), job.shape, job.tower, "rknn")
        prepared = steps.prepare(job, asked, on_stage)
        mixes: tuple[Mix, ...] = ()
        if precision == "hybrid":
            mixes = steps.mixes(job, prepared, on_stage, symmetric=False).mixes
        request = _request(job, precision, prepared, mixes)
        answer = steps.in_toolchain(job, self.toolchain, _WORKER, request, on_stage)
        given = steps.contract_input(job, prepared.input)
        taken = steps.projection(prepared.dimension)
        artifact = job.folder / f"{job.tower}.rknn"
        return Built(
            files=(artifact, steps.sidecar(artifact, job.chip.name, given, taken)),
            input=given,
            output=taken,
            rows=steps.proof_rows(job, prepared.dimension),
            precision=precision,
            facts=_facts(answer.result, prepared, mixes),
            toolchain={"rknn-toolkit2": str(answer.result["version"])},
            seconds=answer.seconds,
            peak_bytes=answer.peak_bytes,
        )


def _request(job: TowerJob, precision: str, prepared: prepare_worker.Facts, mixes: tuple[Mix, ...]) -> dict[str, Any]:
    return {
        "model": prepare_worker.GRAPH,
        "platform": job.chip.tool_name,
        "precision": precision,
        "choices": [{"steps": len(mix.steps), "nodes": list(mix.nodes)} for mix in mixes],
        "mean": list(prepared.mean),
        "std": list(prepared.std),
        "calibration": str(job.inputs[CALIBRATION].absolute()),
        "search": str(job.inputs[SEARCH].absolute()),
        "reference": str(job.reference.absolute()),
        "parts": steps.proof_inputs(job),
        "goal": job.goal,
        "out": f"{job.tower}.rknn",
    }


def _facts(result: dict[str, Any], prepared: prepare_worker.Facts, mixes: tuple[Mix, ...]) -> dict[str, str]:
    tried, chosen = result["attempts"], result["chosen"]
    facts = {"attempts": "; ".join(_told(one) for one in tried), "chosen": str(tried[chosen]["name"])}
    # The mixes are what was tried first.
    if chosen < len(mixes) and mixes[chosen].steps:
        facts |= _sensitivity(mixes[chosen])
    if result["worst"]:
        facts["layers that lose most"] = "; ".join(f"{name} {value:.4f}" for name, value in result["worst"])
    if (count := result["nodes"]) and (named := tried[chosen]["layers"]):
        facts["layers in float16"] = f"{named} of {count['layers']}"
        facts["nodes"] = steps.mapped(count)
    return {**facts, **steps.graph_facts(prepared.unknown, masks=prepared.masks, biases=prepared.biases)}


def _sensitivity(mix: Mix) -> dict[str, str]:
    return {
        "chosen by": f"centred cosine {mix.reached:.4f} on an emulated chip",
        "parts in float16, the most sensitive for their size first": steps.few(mix.steps, _NAMED),
    }


def _told(attempt: dict[str, Any]) -> str:
    named = f" ({attempt['layers']} layers)" if attempt["layers"] else ""
    return f"{attempt['name']}{named}: centred cosine {attempt['reached']:.4f}"
