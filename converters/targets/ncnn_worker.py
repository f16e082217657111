"""Runs inside the toolchain ``ncnn``, where edgekit is not installed: converts a graph by pnnx, runs it with ncnn."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.converters.toolchains.launch import Job

# Tags that begin a weight in ncnn's file of weights.
_FLOAT32, _FLOAT16 = struct.pack("<I", 0), struct.pack("<I", 0x01306B47)
_ALIGNED = 4
_SMALL = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_packed", "use_bf16_storage")
# pnnx runs the graph once on memory that it never sets, and dies of ids beyond a table or of NaN. glibc fills what is
# allocated with the complement of this byte: zeros (mallopt(3), M_PERTURB).
_ZEROED = {"MALLOC_PERTURB_": "255"}


def run(job: Job) -> dict[str, Any]:
    """Convert and run.

    Args:
        job: its request has the model, the table of words and the blob that its rows go to, whether weights are halved,
            the names of the files to write, the sidecar that says the tensors, and the inputs' files.

    Returns:
        The number of layers, and the versions.
    """
    import numpy as np

    asked = job.request
    job.stage("converting by pnnx")
    param, weights = job.folder / asked["param"], job.folder / asked["weights"]
    _convert(job, param, weights)
    specs = json.loads((job.folder / asked["specs"]).read_text(encoding="utf-8"))
    if asked["table"]:
        ids = next(blob["name"] for blob in specs["inputs"][0]["blobs"] if blob["dtype"] == "int32")
        table = np.load(job.folder / asked["table"], allow_pickle=False)
        look_up_first(param, weights, table, (ids, asked["words"]), half=asked["half"])
    layers = _layers(job, param)
    net = _open(job, param, weights)
    for part, path in asked["parts"].items():
        job.stage(f"running the {part} inputs on ncnn")
        rows = [_forward(job, net, specs, row) for row in np.load(path, allow_pickle=False)]
        np.save(job.folder / f"{part}.rows.npy", np.stack(rows), allow_pickle=False)
    return {"layers": layers, "versions": _versions()}


def _convert(job: Job, param: Path, weights: Path) -> None:
    # The package's own module imports torch; the program beside it needs nothing.
    from importlib.util import find_spec

    found = find_spec("pnnx")
    if found is None or found.origin is None:
        raise job.refused("the toolchain has no pnnx; install it again")
    command = [
        str(Path(found.origin).with_name("pnnx")),
        # By its bare name, from its own folder: given a path, pnnx does not find weights beside the graph.
        job.request["model"],
        f"ncnnparam={param.name}",
        f"ncnnbin={weights.name}",
        f"fp16={int(job.request['half'])}",
    ]
    code = subprocess.run(command, cwd=job.folder, env={**os.environ, **_ZEROED}, check=False).returncode
    if code != 0 or not (param.exists() and weights.exists()):
        raise RuntimeError(f"pnnx ended with {code}")


def look_up_first(param: Path, weights: Path, table: Any, blobs: tuple[str, str], *, half: bool) -> None:
    """Put a layer before the others that looks the ids up, in the place of the input that gets the rows.

    Args:
        param: the file of layers, changed in place.
        weights: the file of weights, changed in place.
        table: float32 (V, W).
        blobs: names of the ids, and of the rows as the layers read them.
        half: whether the table is stored in float16, where that holds all of it.
    """
    import numpy as np

    ids, words = blobs
    magic, counts, *lines = param.read_text(encoding="ascii").splitlines()
    layers, known = map(int, counts.split())
    (place,) = (i for i, line in enumerate(lines) if line.split()[0] == "Input" and line.split()[-1] == words)
    size, width = table.shape
    # Its parameters: outputs, rows, no bias, size of the weights.
    lines[place : place + 1] = [
        f"Input            {ids} 0 1 {ids}",
        f"Embed            embed_words 1 1 {ids} {words} 0={width} 1={size} 2=0 3={table.size}",
    ]
    param.write_text("\n".join([magic, f"{layers + 1} {known + 1}", *lines, ""]), encoding="ascii")
    # Inputs have no weights, so that the first in the file are the first layer's that has any.
    stored = table.astype("<f2" if half and np.abs(table).max() < np.finfo(np.float16).max else "<f4")
    data = stored.tobytes()
    tag = _FLOAT16 if stored.itemsize == 2 else _FLOAT32
    weights.write_bytes(tag + data + bytes(-len(data) % _ALIGNED) + weights.read_bytes())


def _layers(job: Job, param: Path) -> int:
    """Count the layers; one that pnnx wrote and ncnn does not have is named."""
    import ncnn

    lines = [line.split() for line in param.read_text(encoding="ascii").splitlines()[2:]]
    lost = [f"{kind} {name}" for kind, name, *_ in lines if ncnn.layer_to_index(kind) == -1]
    if lost:
        raise job.refused(f"ncnn has no layer for {', '.join(lost[:8])}", "UnsupportedModelError")
    return len(lines)


def _open(job: Job, param: Path, weights: Path) -> Any:
    import ncnn

    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.num_threads = 1
    for name in _SMALL:
        setattr(net.opt, name, False)
    if net.load_param(str(param)) != 0 or net.load_model(str(weights)) != 0:
        raise job.refused("ncnn does not load what pnnx wrote; its log says why")
    return net


def _forward(job: Job, net: Any, specs: Any, row: Any) -> Any:
    import ncnn
    import numpy as np

    extractor = net.create_extractor()
    for blob in specs["inputs"][0]["blobs"]:
        # Held while it is copied: a Mat of an array only points at it.
        array = np.ascontiguousarray(row, np.dtype(blob["dtype"]))
        extractor.input(blob["name"], ncnn.Mat(array).clone())
    code, found = extractor.extract(specs["outputs"][0]["blob"])
    if code != 0:
        raise job.refused(f"ncnn fails with {code}")
    return np.array(found, np.float32).reshape(-1)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("ncnn", "pnnx")}
