"""A target whose tool is a stand-in that says what it computes, for tests of what is done with a target's work."""

from __future__ import annotations

import numpy as np
import onnxruntime

from edgekit.adapting import PROJECTION, unit_rows
from edgekit.bundle.manifest import TensorSpec
from edgekit.converters.quantize.data import GOLDEN, HELD_OUT
from edgekit.converters.targets.records import Built, Chip

CHIP = Chip("abacus", "ab4cus", ("fp16", "w8a8"), "compiled only", "beads")


class Abacus:
    """Computes what the float tower does, off by a chosen noise."""

    format, toolchain = "beads", "rknn"
    noise = 0.0
    jobs: list[object] = []  # noqa: RUF012
    sizes: dict[str, dict[str, int]] = {}  # noqa: RUF012

    def chips(self):
        return (CHIP,)

    def towers(self, chip):
        return ("image", "text")

    def build(self, job, on_stage):
        on_stage(f"{job.tower}: moving beads")
        Abacus.jobs.append(job)
        Abacus.sizes[job.tower] = {part: len(np.load(path)) for part, path in job.inputs.items()}
        Abacus.sizes[job.tower]["reference"] = len(np.load(job.reference))
        session = onnxruntime.InferenceSession(str(job.master), providers=["CPUExecutionProvider"])
        rows = {}
        for part in (HELD_OUT, GOLDEN):
            inputs = np.load(job.inputs[part])
            assert inputs.shape[1:] == job.shape[1:]
            found = session.run(None, {session.get_inputs()[0].name: inputs})[0]
            random = np.random.default_rng(0)
            rows[part] = unit_rows(found + Abacus.noise * random.normal(size=found.shape))
        artifact = job.folder / f"{job.tower}.beads"
        artifact.write_bytes(b"beads " * 10)
        sidecar = job.folder / f"{job.tower}.beads.json"
        sidecar.write_text("{}")
        given = TensorSpec("pixels" if job.tower == "image" else "token_ids", "uint8", job.shape)
        taken = TensorSpec(PROJECTION, "float32", (1, found.shape[1]))
        facts = {"beads": "10"}
        return Built((artifact, sidecar), given, taken, rows, job.precision or "fp16", facts, {"abacus": "1"}, 0.5, 7)
