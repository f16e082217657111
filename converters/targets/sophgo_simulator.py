"""``python sophgo_simulator.py MODEL INPUTS.npy ROWS.npy``: Sophgo's simulators, in a Python of their own.

They are libraries that are only found when the process starts with their folders in its environment. A model that ends
in ``.mlir`` is a graph in a chip's types before it is compiled; the vendor's interpreter runs it some fifty times
faster than the simulator runs the compiled file (MiniLM, 32 tokens: 0.4 s a text in place of 22 s).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

LOWERED = ".mlir"


def main(model: str, given: str, out: str) -> None:
    """Run inputs through a model, one at a time.

    Args:
        model: a compiled model, or a lowered graph in this folder.
        given: (n, …) as the graph takes them.
        out: file of float32 (n, D) to write.
    """
    rows = np.load(given, allow_pickle=False)
    found = _interpreted(model, rows) if model.endswith(LOWERED) else _simulated(model, rows)
    np.save(out, np.concatenate(found), allow_pickle=False)


def _interpreted(model: str, rows: npt.NDArray[Any]) -> list[npt.NDArray[np.float32]]:
    import tpu_mlir  # noqa: F401  # it makes its own modules importable
    from pymlir import module, set_mem_mode

    set_mem_mode("value_mem")
    net = module()
    net.load(model)
    (taken,), (returned,) = net.input_names, net.output_names
    found = []
    for row in rows:
        value = row[None].astype(np.float32)
        net.set_tensor(taken, value, value.shape)
        net.invoke(True)  # what is held in integers is returned as the floats that they mean
        found.append(np.array(net.get_all_tensor()[returned], np.float32).reshape(1, -1))
    return found


def _simulated(model: str, rows: npt.NDArray[Any]) -> list[npt.NDArray[np.float32]]:
    from tpu_mlir.python.utils.lowering import bf16_to_fp32, lowering

    loaded, net = _net(model)
    (taken,), (returned,) = net.inputs, net.outputs
    found = []
    for row in rows:
        value = lowering(row[None], taken.dtype, row[None].shape, pzero_point=taken.qzero_point, pscale=taken.qscale)
        taken.data.reshape(-1)[: value.size] = value.reshape(-1)
        net.forward()
        made = np.array(returned.data)
        if returned.dtype == "bf16":
            made = bf16_to_fp32(made)
        found.append((made.astype(np.float32) * (returned.qscale or 1)).reshape(1, -1))
    # The simulator's network must not outlive what it was loaded into.
    del net, loaded
    return found


def _net(model: str) -> tuple[Any, Any]:
    """Open a compiled model in its chip's simulator."""
    if not model.endswith(".bmodel"):
        import pyruntime_cvi

        net = pyruntime_cvi.Model(model, output_all_tensors=False)
        return net, net
    from filelock import FileLock
    from tpu_mlir.python.tools import model_runner

    chip = model_runner.get_chip_from_model(model)
    # The simulator is one name that points at the library of the chip used last: others may be pointing it now.
    with FileLock(str(Path(os.environ["TPUC_ROOT"]) / "lib" / ".edgekit.lock")):
        model_runner.link_cmodel_so(chip)
        model_runner.link_bmlib_so(chip)
        import pyruntime_bm

        model_runner.bind_cmodel_so(chip)
    loaded = pyruntime_bm.Model(model, 0, "")
    return loaded, loaded.Net(loaded.networks[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
