"""The child that starts several training processes on this machine, with PyTorch's own ``torchrun``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edgekit.converters import children
from edgekit.converters.distill import lifeline

WORKER = "edgekit.converters.distill.train_worker"


def main(folder: Path, processes: int, device: str) -> None:
    """Run `WORKER` in some processes until all have ended.

    Args:
        folder: the work folder.
        processes: how many.
        device: of `train_worker`.
    """
    lifeline.end_with_parent()
    from torch.distributed import run

    # Python looks for modules in the current folder first, which may be a checkout of edgekit.
    os.chdir(folder)
    run.main(["--standalone", f"--nproc-per-node={processes}", "-m", WORKER, str(folder), device])


if __name__ == "__main__":
    children.report(lambda: main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
