"""Build, find and remove toolchains' environments in edgekit's cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from edgekit.atomic import write_bytes
from edgekit.bundle import schema
from edgekit.converters.children import ending, last_lines
from edgekit.converters.toolchains import catalog, pythons
from edgekit.converters.toolchains.records import Installed, Step, Toolchain
from edgekit.errors import ConversionError, InputError, MissingDependencyError
from edgekit.locations import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OK = ".ok"
_ENVIRONMENT = "env"
_LOG = "install.log"
_MB = 1 << 20
# Enough to write locks, logs and work files, whatever the environment itself takes.
_SPARE_MB = 200


def folder(name: str) -> Path:
    """Return where a toolchain lies, or would lie."""
    return cache_dir() / "toolchains" / name


def python(name: str) -> Path:
    """Return the path of a toolchain's Python."""
    return folder(name) / _ENVIRONMENT / "bin" / "python"


def installed(toolchain: Toolchain) -> Installed | None:
    """Return what is installed of a toolchain; None when it is absent, unfinished, damaged, or of another lock."""
    found = _look(toolchain)
    return found if isinstance(found, Installed) else None


def require(toolchain: Toolchain) -> Installed:
    """Return what is installed of a toolchain.

    Args:
        toolchain: which.

    Returns:
        Its record.

    Raises:
        MissingDependencyError: it is not installed, or not as this version of edgekit wants it; the message says which.
    """
    found = _look(toolchain)
    if not isinstance(found, Installed):
        raise MissingDependencyError(
            f"the toolchain {toolchain.name} {found}; run 'edgekit toolchain install {toolchain.name}' "
            f"({toolchain.disk_mb / 1000:.1f} GB, about {toolchain.minutes} min)"
        )
    return found


def install(toolchain: Toolchain, on_stage: Callable[[str], None] = lambda _: None) -> Installed:
    """Build a toolchain's environment, or finish one that was interrupted; nothing is done where it is complete.

    Args:
        toolchain: which.
        on_stage: called with the name of each stage as it begins.

    Returns:
        What is there now.

    Raises:
        InputError: no Python of its versions is here, the platform is another, or the disk is too full.
        ConversionError: pip failed, or the tool does not start; the message has the last lines, and the next call goes
            on after the last finished step.
    """
    found = installed(toolchain)
    if found is not None:
        return found
    _check_platform(toolchain)
    home = folder(toolchain.name)
    home.mkdir(parents=True, exist_ok=True)
    with _alone(home):
        found = installed(toolchain)
        return found or _build(toolchain, home, on_stage)


def remove(toolchain: Toolchain) -> int:
    """Remove a toolchain's environment.

    Args:
        toolchain: which.

    Returns:
        Bytes that were freed; 0 where there was nothing.

    Raises:
        InputError: it is being built.
    """
    home = folder(toolchain.name)
    if not home.exists():
        return 0
    with _alone(home):
        freed = _size(home)
        # First what says that it is complete: a removal that is interrupted leaves nothing that looks usable.
        (home / OK).unlink(missing_ok=True)
        shutil.rmtree(home)
    return freed


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what would lead another Python to this one's packages."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
    return {name: value for name, value in os.environ.items() if name not in hidden}


def _look(toolchain: Toolchain) -> Installed | str:
    """Return what is installed, or why nothing usable is."""
    try:
        record = schema.loads(Installed, (folder(toolchain.name) / OK).read_bytes(), OK)
    except OSError:
        return "is not installed"
    except InputError as error:
        return f"is damaged ({error})"
    if record.lock != catalog.digest(toolchain):
        return "is of another version than this edgekit's"
    # The environment points to the Python that made it, which may have been removed or renamed since.
    return record if python(toolchain.name).exists() else f"has lost its Python, {python(toolchain.name)}"


def _build(toolchain: Toolchain, home: Path, on_stage: Callable[[str], None]) -> Installed:
    environment, version = home / _ENVIRONMENT, _python_version(home, toolchain)
    (home / OK).unlink(missing_ok=True)
    if not version:
        _check_disk(toolchain, home)
        shutil.rmtree(environment, ignore_errors=True)
        for stale in home.glob(".step-*"):
            stale.unlink()
        executable, version = _find_python(toolchain)
        on_stage(f"{toolchain.name}: making an environment of Python {version} in {environment}")
        # Without steps nothing needs pip, whose unpacking takes most of the time.
        bare = [] if toolchain.steps else ["--without-pip"]
        _run([executable, "-m", "venv", *bare, str(environment)], home, toolchain)
    for number, step in enumerate(toolchain.steps, 1):
        marker = home / f".step-{_key(step)}"
        if marker.exists():
            continue
        on_stage(
            f"{toolchain.name}: step {number} of {len(toolchain.steps)}, {len(step.packages)} packages ({step.note}); "
            f"{toolchain.disk_mb / 1000:.1f} GB and about {toolchain.minutes} min in all"
        )
        pip = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--no-deps"]
        _run([*pip, "--no-input", *step.packages], home, toolchain)
        write_bytes(marker, b"")
    on_stage(f"{toolchain.name}: trying it")
    _run([str(environment / "bin" / "python"), "-c", toolchain.probe], home, toolchain)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    record = Installed(toolchain.name, catalog.digest(toolchain), version, _size(home), now)
    write_bytes(home / OK, schema.dumps(record).encode())
    return record


def _key(step: Step) -> str:
    return hashlib.sha256("\n".join(step.packages).encode()).hexdigest()[:16]


def _python_version(home: Path, toolchain: Toolchain) -> str:
    """Return the version of the environment's Python where it can be gone on with; empty otherwise."""
    version = _version_of(str(home / _ENVIRONMENT / "bin" / "python"))
    wanted = {f".step-{_key(step)}" for step in toolchain.steps}
    # A step of another lock may have left packages behind that this lock does not know.
    foreign = any(marker.name not in wanted for marker in home.glob(".step-*"))
    return version if version in toolchain.pythons and not foreign else ""


def _find_python(toolchain: Toolchain) -> tuple[str, str]:
    found = {_version_of(command): command for command in reversed(pythons.candidates(toolchain.pythons))}
    for version in toolchain.pythons:
        if version in found:
            return found[version], version
    raise InputError(
        f"the toolchain {toolchain.name} needs Python {' or '.join(toolchain.pythons)}; here are "
        f"{', '.join(sorted(version for version in found if version)) or 'none'}. Install one, so that "
        f"'python{toolchain.pythons[0]}' starts it, or by 'uv python install {toolchain.pythons[0]}' or pyenv"
    )


def _version_of(command: str) -> str:
    """Return the version of a Python that can make environments; empty where it cannot or does not start."""
    code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [command, "-c", code], capture_output=True, text=True, timeout=60, env=clean_environment()
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _check_platform(toolchain: Toolchain) -> None:
    here = f"{platform.system().lower()}-{platform.machine()}"
    if toolchain.platform not in ("any", here):
        raise InputError(f"the toolchain {toolchain.name} runs on {toolchain.platform}; this machine is {here}")


def _check_disk(toolchain: Toolchain, home: Path) -> None:
    free, needed = shutil.disk_usage(home).free // _MB, toolchain.disk_mb + _SPARE_MB
    if free < needed:
        raise InputError(
            f"the toolchain {toolchain.name} needs {needed} MB in {home}, {free} MB are free; make room, or set "
            "EDGEKIT_CACHE to a folder on a larger disk"
        )


def _run(command: list[str], home: Path, toolchain: Toolchain) -> None:
    log = home / _LOG
    with log.open("wb") as stream:
        code = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, env=clean_environment()).returncode
    if code != 0:
        raise ConversionError(
            f"the toolchain {toolchain.name} could not be built: {' '.join(command[:4])} … {ending(code)}; the same "
            f"command goes on where this one ended. Its last lines ({log}):\n{last_lines(log)}"
        )


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold a toolchain's lock; two installations at once would break each other."""
    with (home.parent / f".{home.name}.lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"the toolchain {home.name} is being built or removed by another process; wait") from error
        yield


def _size(home: Path) -> int:
    return sum(file.stat().st_size for file in home.rglob("*") if file.is_file() and not file.is_symlink())
