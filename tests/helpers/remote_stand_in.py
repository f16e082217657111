"""An interpreter for a board whose `edgekit bench` takes as long as it is told, so that links are tested, not models.

Everything else that is asked of it, this interpreter does.
"""

from __future__ import annotations

import stat
import sys
import time
from typing import TYPE_CHECKING

import bench_results
from edgekit.benchmarks.remote.records import Board, RemoteEvent, Settings
from edgekit.benchmarks.remote.run_on import run_on

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.benchmarks.remote.records import Outcome
    from ssh_farm import Host

# Takes the place of the whole command; its words are "bench", the bundle, and so on.
_BENCH = """
import json, os, pathlib, sys, time
words = sys.argv[1:]
seconds = float(words[words.index("--seconds") + 1])
print(json.dumps({"event": "phase", "name": "measure", "total": seconds}), file=sys.stderr, flush=True)
results = pathlib.Path(words[words.index("-o") + 1])
pathlib.Path("words.json").write_text(json.dumps(words))
begin = time.monotonic()
while time.monotonic() - begin < seconds and not pathlib.Path("enough").exists():
    print("still measuring", file=sys.stderr, flush=True)
    time.sleep(0.1)
    if "--early" in words:
        (results / "early.json").write_bytes(pathlib.Path(sys.argv[0]).with_name("result.json").read_bytes())
if "--fill" in words:
    with open("ballast", "wb") as stream:
        while True:
            stream.write(bytes(1 << 20))
if "--flood" in words:
    for i in range(40000):
        print("a warning that comes again and again", i, file=sys.stderr)
if "--fail" in words:
    sys.exit("Error: the model is in a bad mood")
if "--last" in words:
    sys.exit(words[words.index("--last") + 1])
if "--mute" in words:
    sys.exit(0)
(results / "run.json").write_bytes(pathlib.Path(sys.argv[0]).with_name("result.json").read_bytes())
"""

_WRAPPER = """#!/bin/sh
case $2 in
  *edgekit.cli.main*) shift 2; exec {python} {folder}/bench.py "$@" ;;
  *"now = time.time()"*) exec {python} -I -c "$(printf '%s' "$3" | sed 's/time.time()/time.time() + {ahead}/')" ;;
esac
case $3 in
  *"now = time.time()"*) exec {python} -I -c "$(printf '%s' "$3" | sed 's/time.time()/time.time() + {ahead}/')" ;;
esac
exec {python} "$@"
"""


def interpreter(folder: Path, ahead: float = 0.0) -> str:
    """Write the interpreter into a folder; its clock is `ahead` seconds ahead."""
    folder.mkdir(parents=True, exist_ok=True)
    bench_results.write(folder, bench_results.result())
    found = next(folder.glob("*.json"))
    found.rename(folder / "result.json")
    (folder / "bench.py").write_text(_BENCH)
    path = folder / "python"
    path.write_text(_WRAPPER.format(python=sys.executable, folder=folder, ahead=ahead))
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return str(path)


def board(host: Host, name: str = "board", ahead: float = 0.0, folder: str = "") -> Board:
    return Board(name, host.address(folder), interpreter(host.folder / "stand-in", ahead), "own")


def quick(ssh: tuple[str, ...], keep: bool = False, patience: float = 20.0, limit: float = 0.0) -> Settings:
    return Settings(keep, patience, limit, poll=0.2, connect=3.0, alive=3.0, ssh=ssh)


def one(
    host: Host,
    bundle: Path,
    output: Path,
    words: tuple[str | Path, ...] = ("--seconds", "0.2"),
    settings: Settings | None = None,
    where: Board | None = None,
    on_event: Callable[[RemoteEvent], None] = lambda event: None,
) -> Outcome:
    """Run on one board."""
    found = run_on([where or board(host)], bundle, words, output, settings or quick(host.ssh), on_event)
    return found[0]


def until_measuring(action: Callable[[], None]) -> Callable[[RemoteEvent], None]:
    """An `on_event` that does `action` once, when the run on the board tells that it measures."""
    done: list[bool] = []

    def on_event(event: RemoteEvent) -> None:
        if event.bench is not None and not done:
            done.append(True)
            action()

    return on_event


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return condition()
