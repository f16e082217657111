"""The wheel: built, installed apart from this environment's own edgekit, and every module in it imported."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
# Where each top-level folder of the repository lands in the wheel.
HOMES = {
    "edgekit": "edgekit",
    "runtimes": "edgekit/runtimes",
    "converters": "edgekit/converters",
    "benchmarks": "edgekit/benchmarks",
    "samples": "edgekit/samples",
}
# What the core must do without; see the extras.
OPTIONAL = ("torch", "torchvision", "onnx", "onnxruntime", "open_clip", "timm", "transformers", "psutil", "cv2")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a release would be built from: a build leaves files in the tree it works on."""
    copy = tmp_path_factory.mktemp("tree") / "edgekit"
    skipped = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=skipped)
    return copy


@pytest.fixture(scope="module")
def wheel(tree: Path) -> Path:
    # Without isolation nothing is fetched: setuptools is in the dev extra.
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tree.parent, tree]
    done = subprocess.run(command, cwd=tree.parent, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = tree.parent.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def members(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def site(wheel: Path) -> Path:
    target = wheel.parent / "site"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", "--target", target, wheel]
    subprocess.run(command, capture_output=True, timeout=300, check=True)
    return target


def python(site: Path, code: str, *arguments: str, cwd: Path) -> str:
    """Run code that sees the wheel, the dependencies of this environment, and not its editable edgekit."""
    paths = [str(site), *dict.fromkeys(sysconfig.get_paths()[kind] for kind in ("purelib", "platlib"))]
    # Without the site module, editable installs are not set up; in isolated mode, neither PYTHONPATH nor the folder is.
    command = [sys.executable, "-I", "-S", "-c", f"import sys\nsys.path += {paths!r}\n{code}", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def modules(members: list[str]) -> list[str]:
    paths = [PurePosixPath(name) for name in members if name.endswith(".py")]
    return sorted(".".join((p.parent if p.name == "__init__.py" else p.with_suffix("")).parts) for p in paths)


IMPORT_ALL = """
import importlib, json, pathlib, sys
for name in sys.argv[2].split(","):
    sys.modules[name] = None
failed = {}
for name in sys.argv[3:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed[name] = repr(error)
ours = {name: str(module.__file__) for name, module in sys.modules.items() if name.partition(".")[0] == "edgekit"}
strangers = [name for name, path in ours.items() if not path.startswith(sys.argv[1])]
print(json.dumps([failed, strangers]))
"""


def test_every_module_in_the_wheel_imports(site: Path, members: list[str], tmp_path: Path) -> None:
    names = modules(members)
    assert {"edgekit", "edgekit.runtimes.ort", "edgekit.converters.convert", "edgekit.bundle.reader"} <= set(names)
    failed, strangers = json.loads(python(site, IMPORT_ALL, str(site), "", *names, cwd=tmp_path).splitlines()[-1])
    assert failed == {}
    assert strangers == []  # the wheel's own files were meant, and not the repository's


def test_the_core_imports_without_any_extra(site: Path, members: list[str], tmp_path: Path) -> None:
    apart = ("edgekit.converters", "edgekit.benchmarks", "edgekit.samples")
    names = [name for name in modules(members) if not name.startswith(apart)]
    assert len(names) > 40
    failed, _ = json.loads(
        python(site, IMPORT_ALL, str(site), ",".join(OPTIONAL), *names, cwd=tmp_path).splitlines()[-1]
    )
    assert failed == {}


def test_the_wheel_works_from_a_clean_place(site: Path, tiny_bundle: Path, photos: list[Path], tmp_path: Path) -> None:
    code = (
        "import edgekit\nwith edgekit.load(sys.argv[1]) as clip:\n"
        "    print(clip.classify(sys.argv[2], ['a cat', 'a dog']).best.label)"
    )
    assert python(site, code, str(tiny_bundle), str(photos[0]), cwd=tmp_path).strip() in ("a cat", "a dog")
    command = "from edgekit.cli.main import main; main(['inspect', sys.argv[1]])"
    assert "tiny 1" in python(site, command, str(tiny_bundle), cwd=tmp_path)


def test_what_an_app_needs_is_in_it(members: list[str], wheel: Path) -> None:
    assert "edgekit/py.typed" in members
    photos = {path.name for path in (ROOT / "samples" / "photos").glob("*.jpg")}
    assert photos
    packed = {name.rpartition("/")[2] for name in members if name.startswith("edgekit/samples/photos/")}
    assert photos | {"LICENSES.md"} <= packed
    assert {f"edgekit/samples/{path.name}" for path in (ROOT / "samples").glob("*.edge")} <= set(members)
    assert any(name.endswith("/licenses/LICENSE") for name in members)
    with zipfile.ZipFile(wheel) as archive:
        (info,) = (name for name in members if name.endswith("entry_points.txt"))
        text = archive.read(info).decode()
    assert "edgekit = edgekit.cli.main:main" in text
    assert "onnxruntime = edgekit.runtimes.ort:OnnxRuntime" in text


def test_the_starter_bundle_is_packaged() -> None:
    assert (ROOT / "samples" / "starter.edge").is_file(), "run: make starter"


def test_nothing_else_is_in_it(members: list[str]) -> None:
    tops = {name.partition("/")[0] for name in members}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"edgekit"}
    for name in members:
        parts = PurePosixPath(name).parts
        assert not {"tests", "fixtures", "docs", "__pycache__"} & set(parts), name
        assert not parts[-1].startswith(("test_", "conftest", ".")), name
        if name.endswith(".py"):
            assert f"{PurePosixPath(name).parent}/__init__.py" in members, f"{name} is part of no package"
        assert not name.endswith((".pyc", ".so", ".toml", ".ipynb")), name


def test_every_package_of_the_repository_is_in_it(members: list[str]) -> None:
    """A folder that nobody added to `packages` in pyproject.toml would be missing from what users get."""
    for folder, home in HOMES.items():
        for source in sorted((ROOT / folder).rglob("*.py")):
            relative = source.relative_to(ROOT / folder).as_posix()
            if source.parent != ROOT / folder and not (source.parent / "__init__.py").exists():
                continue  # a script beside data, part of no package
            assert f"{home}/{relative}" in members, f"{source} is not packaged: add its folder to pyproject.toml"


def test_no_package_is_listed_twice_or_gone() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    block = text.partition("\npackages = [\n")[2].partition("\n]")[0]
    listed = [line.strip(' ",') for line in block.splitlines()]
    assert listed == sorted(set(listed))
    for name in listed:
        parts = name.split(".")
        folder = ROOT / Path(*(parts[1:] if len(parts) > 1 and parts[1] in HOMES else parts))
        data_only = folder.is_dir() and not list(folder.glob("*.py"))
        assert data_only or (folder / "__init__.py").is_file(), name
