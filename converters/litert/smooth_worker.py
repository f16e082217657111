"""The child that moves activation outliers into a master's weights, before a LiteRT file is made of it."""

from __future__ import annotations

import sys
from pathlib import Path

from edgekit.converters import children
from edgekit.converters.litert import limits, work
from edgekit.converters.quantize.methods.records import TowerDecision

_BATCH = 8


def main(folder: Path, alpha: float) -> None:
    """Write the smoothed master to where ``request.json`` in `folder` says; see `smoothing.smooth`.

    Args:
        folder: the work folder, with samples to measure activations on.
        alpha: exponent, 0..1.
    """
    from edgekit.converters.graph import store
    from edgekit.converters.quantize.methods.apply import choices
    from edgekit.converters.quantize.methods.calibration import measure, needed_tensors
    from edgekit.converters.quantize.methods.editor import Editor
    from edgekit.converters.quantize.methods.groups import find_groups
    from edgekit.converters.quantize.methods.smoothing import smooth

    request = work.read_request(folder)
    limits.die_after(request.seconds)
    children.stage("smoothing the master")
    master, decision = Path(request.master), TowerDecision(request.methods, alpha)
    model, samples = store.load(master), work.read_samples(folder)
    chosen = choices(find_groups(model), decision)
    tensors = needed_tensors(model, decision)
    batches = [samples[start : start + _BATCH] for start in range(0, len(samples), _BATCH)]
    editor = Editor(model)
    keys = [key for group, method in chosen if method.smooths for key in group.nodes]
    smooth(editor, keys, measure(master, batches, tensors, "minmax"), alpha)
    editor.close()
    store.save(model, Path(request.out))


if __name__ == "__main__":
    children.report(lambda: main(Path(sys.argv[1]), float(sys.argv[2])))
