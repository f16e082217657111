"""What `import edgekit` costs, and what embedding photos never loads."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {
    "PIL",
    "click",
    "cv2",
    "ftfy",
    "onnx",
    "onnxruntime",
    "open_clip",
    "tokenizers",
    "torch",
    "torchvision",
    "transformers",
}
MOST_MODULES = 30


def modules(code: str, *arguments: str) -> set[str]:
    """Names of the modules that are loaded after `code`, in a process that saw nothing else."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-c", script, *arguments]
    found = subprocess.run(command, capture_output=True, timeout=300, check=True)
    return set(json.loads(found.stdout.splitlines()[-1]))


def top(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def test_importing_edgekit_costs_next_to_nothing() -> None:
    added = modules("import numpy, edgekit") - modules("import numpy")
    assert "edgekit" in added
    assert len(added) <= MOST_MODULES
    assert not top(added) & HEAVY


@pytest.mark.parametrize("name", ["load", "Clip", "SessionSettings", "EdgekitError", "Classification", "Explanation"])
def test_each_public_name_loads_no_engine_and_no_framework(name: str) -> None:
    assert not top(modules(f"from edgekit import {name}")) & (HEAVY - {"PIL"})


def test_the_sdk_stays_within_its_bounds_until_it_is_used() -> None:
    added = modules("import numpy, edgekit; edgekit.load") - modules("import numpy")
    ours = {name for name in added if name.startswith("edgekit")}
    assert not any(name.startswith(("edgekit.converters", "edgekit.cli.", "edgekit.benchmarks")) for name in ours)
    assert "edgekit.runtimes.ort" not in ours


EMBED = """
import sys, edgekit
with edgekit.load(sys.argv[1], towers=("image",)) as clip:
    assert clip.embed_images([sys.argv[2]]).shape == (1, 16)
"""


def test_photos_alone_load_neither_torch_nor_the_text_side(tiny_bundle: Path, photos: list[Path]) -> None:
    found = modules(EMBED, str(tiny_bundle), str(photos[0]))
    assert {"onnxruntime", "PIL"} <= top(found)
    assert not top(found) & {"torch", "onnx", "transformers", "open_clip", "click", "tokenizers", "ftfy"}
    assert not any(name.startswith("edgekit.converters") for name in found)


CLASSIFY = """
import sys, edgekit
with edgekit.load(sys.argv[1]) as clip:
    clip.classify(sys.argv[2], ["a cat"])
"""


def test_texts_load_no_framework(tiny_bundle: Path, photos: list[Path]) -> None:
    found = modules(CLASSIFY, str(tiny_bundle), str(photos[0]))
    assert "tokenizers" in top(found)
    assert not top(found) & {"torch", "onnx", "transformers", "open_clip", "click"}


@pytest.mark.parametrize("command", ["inspect", "doctor", "verify"])
def test_a_command_loads_no_converter_and_no_framework(command: str, tiny_bundle: Path) -> None:
    arguments = [command] if command == "doctor" else [command, str(tiny_bundle)]
    run = f"from edgekit.cli.main import main; main({arguments!r}, standalone_mode=False)"
    found = modules(run)
    assert not top(found) & {"torch", "onnx", "transformers", "open_clip"}
    assert not any(name.startswith("edgekit.converters") for name in found)


def test_help_loads_no_framework() -> None:
    assert not top(modules("from edgekit.cli.main import main; main(['--help'], standalone_mode=False)")) & (
        HEAVY - {"click", "PIL", "ftfy"}
    )


# A process for each module, split off after the libraries that all of them share.
EACH = """
import importlib, os, sys
import click, numpy, PIL.Image, tokenizers
for name in sys.argv[1:]:
    if os.fork() == 0:
        importlib.import_module(name)
        os._exit(0)
    if os.wait()[1] != 0:
        sys.exit(name)
"""


def test_every_module_imports_first() -> None:
    """No module depends on another one having been imported before it: no hidden cycle."""
    import pkgutil

    import edgekit
    import edgekit.runtimes

    names = [
        module.name
        for package in (edgekit, edgekit.runtimes)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not module.name.startswith(("edgekit.converters", "edgekit.benchmarks", "edgekit.samples"))
    ]
    assert len(names) > 40
    found = subprocess.run([sys.executable, "-c", EACH, *names], capture_output=True, timeout=300, check=False)
    assert found.returncode == 0, found.stderr.decode()
