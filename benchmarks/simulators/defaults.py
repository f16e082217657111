"""Each vendor's tool as it is used without edgekit: the plain static graph, and the tool's default settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.adapting import unit_rows
from edgekit.converters.quantize.data import CALIBRATION, HELD_OUT, SEARCH
from edgekit.converters.quantize.methods.records import TowerDecision
from edgekit.converters.targets import prepare_worker, qnn, rknn, sophgo, static
from edgekit.converters.targets.inputs import embed
from edgekit.converters.toolchains import catalog, work
from edgekit.errors import UnsupportedModelError
from edgekit.runtimes import qnn_chips

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from edgekit.converters.targets.records import TowerJob

    Rows = npt.NDArray[np.float32]
    Default = Callable[[TowerJob, Callable[[str], None]], Rows]

_LIMITS = work.Limits(seconds=3600)
_TARGETS = Path(qnn.__file__).parent


def rows(toolchain: str, job: TowerJob, on_stage: Callable[[str], None]) -> Rows:
    """Compile a tower as the vendor's documentation begins, and run it.

    Args:
        toolchain: whose default; see `DEFAULTS`.
        job: as for a target; its precision is one of the tool's own.
        on_stage: called with the name of each stage.

    Returns:
        (n, D) float32, unit rows of the part ``held-out``.

    Raises:
        UnsupportedModelError: there is no default to compare with.
        ConversionError: the tool failed, which is its result.
    """
    if toolchain not in DEFAULTS:
        raise UnsupportedModelError(f"{toolchain}: it has no default to compare with; leave it out")
    return DEFAULTS[toolchain](job, on_stage)


def _rknn(job: TowerJob, on_stage: Callable[[str], None]) -> Rows:
    """rknn-toolkit2: the tool scales pixels by its own setting; hybrid is its automatic one at its own threshold."""
    mean, std = _plain(job, scaling_outside=job.tower == "image")
    request = {
        "model": prepare_worker.GRAPH,
        "platform": job.chip.tool_name,
        "precision": job.precision,
        "plain": True,
        "mean": mean,
        "std": std,
        **_inputs(job),
        "goal": 0.0,
        "out": f"{job.tower}.rknn",
    }
    work.run(
        catalog.find("rknn"), Path(rknn.__file__).with_name("rknn_worker.py"), job.folder, request, _LIMITS, on_stage
    )
    return _simulated(job)


def _qnn(job: TowerJob, on_stage: Callable[[str], None]) -> Rows:
    """The QNN provider: `get_qnn_qdq_config` with nothing but the type of activations."""
    if job.precision == "hybrid":
        raise UnsupportedModelError("the vendor's tool chooses no nodes by itself")
    _plain(job, scaling_outside=False)
    chip = qnn_chips.find(job.chip.tool_name)
    request = {
        "model": prepare_worker.GRAPH,
        "precision": job.precision,
        "plain": True,
        "soc_model": chip.soc_model,
        "htp_arch": chip.htp_arch,
        **_inputs(job),
        "goal": 0.0,
        "out": f"{job.tower}.onnx",
    }
    work.run(catalog.find("qnn"), _TARGETS / "qnn_worker.py", job.folder, request, _LIMITS, on_stage)
    return _simulated(job)


def _sophgo(job: TowerJob, on_stage: Callable[[str], None]) -> Rows:
    """tpu-mlir: ranges by the tool's own default, and for hybrid its own search; pixels are scaled before it."""
    from edgekit.converters.graph import store

    mean, std = _plain(job, scaling_outside=job.tower == "image")
    given = store.load(job.folder / prepare_worker.GRAPH).graph.input[0]
    bm = job.chip.tool_name in {chip.tool_name for chip in sophgo.Sophgo().chips()}
    request = {
        "model": prepare_worker.GRAPH,
        "chip": job.chip.tool_name,
        "precision": job.precision,
        "plain": True,
        "input": given.name,
        "shape": [dimension.dim_value for dimension in given.type.tensor_type.shape.dim],
        "mean": mean,
        "std": std,
        **_inputs(job),
        "goal": 0.0,
        "wide": "F16" if bm else "BF16",
        "choices": [],
        "out": f"{job.tower}.{'bmodel' if bm else 'cvimodel'}",
    }
    work.run(catalog.find("sophgo"), _TARGETS / "sophgo_worker.py", job.folder, request, _LIMITS, on_stage)
    return _simulated(job)


def _vela(job: TowerJob, on_stage: Callable[[str], None]) -> Rows:
    """Vela: the whole tower in int8, its lengths inside."""
    from edgekit.converters.litert import work as litert_work
    from edgekit.converters.litert.compile import TowerShape, compile_tower

    made = job.folder / f"{job.tower}.tflite"
    decision = TowerDecision({litert_work.EVERY_GROUP: litert_work.FULL_INTEGER})
    samples = np.load(job.inputs[CALIBRATION])
    compile_tower(job.master, made, job.tower, TowerShape(job.shape[1:]), decision, [samples], on_stage)
    return unit_rows(np.load(embed("litert", made, job.inputs[HELD_OUT], on_stage)))


DEFAULTS: dict[str, Default] = {"rknn": _rknn, "qnn": _qnn, "sophgo": _sophgo, "vela": _vela}
"""By the toolchain's name."""


def _plain(job: TowerJob, *, scaling_outside: bool) -> tuple[list[float], list[float]]:
    """Write the static graph with nothing changed but, where asked, the scaling."""
    from edgekit.converters.graph import store

    out = job.folder / prepare_worker.GRAPH
    static.fold(job.master, out, job.shape)
    if not scaling_outside:
        return [], []
    model = store.load(out)
    scaling = static.move_scaling_out(model)
    store.save(model, out)
    return list(scaling.mean), list(scaling.std)


def _inputs(job: TowerJob) -> dict[str, Any]:
    return {
        "calibration": str(job.inputs[CALIBRATION].absolute()),
        "search": str(job.inputs[SEARCH].absolute()),
        "reference": str(job.reference.absolute()),
        "parts": {HELD_OUT: str(job.inputs[HELD_OUT].absolute())},
    }


def _simulated(job: TowerJob) -> Rows:
    return unit_rows(np.load(job.folder / f"{HELD_OUT}.rows.npy", allow_pickle=False))
