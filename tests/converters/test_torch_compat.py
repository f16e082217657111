from __future__ import annotations

import subprocess
import sys

# A package in the place of torchvision: what its import does is the test's to say.
PROLOGUE = """
import sys, types, importlib
from edgekit.converters import torch_compat
"""


def run(tmp_path, source, code):
    """Run `code` in a fresh interpreter where ``import torchvision`` runs `source`."""
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(source)
    (package / "part.py").write_text("")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{PROLOGUE}\n{code}"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_a_matching_pair_is_not_touched(tmp_path):
    code = (
        "torch_compat.prepare(); torch_compat.prepare(); print(len(torch_compat._kept_alive), 'torch' in sys.modules)"
    )
    assert run(tmp_path, "", code) == ["0", "False"]


def test_missing_schemas_are_declared_once(tmp_path):
    source = """
import torch, torchvision.part
torch._C._dispatch_has_kernel_for_dispatch_key("torchvision::nms", "Meta")
torch._C._dispatch_has_kernel_for_dispatch_key("torchvision::qnms", "Meta")
imported = True
"""
    code = """
torch_compat.prepare()
torch_compat.prepare()
import torchvision
print(torchvision.imported, len(torch_compat._kept_alive))
"""
    assert run(tmp_path, source, code) == ["True", "1"]


def test_other_failures_stay_failures(tmp_path):
    code = """
try:
    torch_compat.prepare()
except RuntimeError as error:
    print(str(error), len(torch_compat._kept_alive))
"""
    assert run(tmp_path, "raise RuntimeError('driver')", code) == ["driver", "0"]


def test_a_second_failure_is_not_hidden(tmp_path):
    code = """
try:
    torch_compat.prepare()
except RuntimeError as error:
    print('refused', len(torch_compat._kept_alive))
"""
    source = "raise RuntimeError('operator torchvision::roi_align does not exist')"
    assert run(tmp_path, source, code) == ["refused", "1"]


def test_without_torchvision_nothing_happens(tmp_path):
    code = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == 'torchvision' else find(name)
torch_compat.prepare()
print('torchvision' in sys.modules)
"""
    assert run(tmp_path, "", code) == ["False"]


def test_the_installed_pair_works_afterwards():
    code = "from edgekit.converters.torch_compat import prepare; prepare(); import torchvision.transforms"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
