"""The child that stores a tower's weights in fewer bytes."""

from __future__ import annotations

import sys
from pathlib import Path

from edgekit.converters import children, exchange
from edgekit.converters.compress import compress_tower


def main(folder: Path, target: str, image: str, text: str) -> None:
    """Write the compressed towers into the folder `target` of `folder`."""
    (folder / target).mkdir(exist_ok=True)
    for name, how in (("image", image), ("text", text)):
        children.stage(f"storing the {name} tower as {how}")
        compress_tower(exchange.master(folder, name), folder / target / f"{name}.onnx", how)


if __name__ == "__main__":
    children.report(lambda: main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]))
