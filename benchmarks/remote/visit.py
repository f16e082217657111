"""One board from the first connection to the last file removed."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from edgekit.benchmarks.remote import collecting, environment, facts, job, scripts, store, work
from edgekit.benchmarks.remote.ssh_errors import BoardError, ScriptError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.benchmarks.remote.diary import Diary
    from edgekit.benchmarks.remote.environment import Environment
    from edgekit.benchmarks.remote.payload import Payload
    from edgekit.benchmarks.remote.reaching import Reach
    from edgekit.benchmarks.remote.records import Board, Facts, Settings
    from edgekit.benchmarks.remote.work import Work

_MIB = 1 << 20
_FAST_POLL, _FAST_SECONDS = 0.5, 10.0
# What a board may take to start a shell.
_STARTING_SECONDS = 60.0
# An environment that takes longer hangs.
_ENVIRONMENT_SECONDS = 7200.0
_CLOCK_SECONDS = 2.0


class Visit:
    """The steps at one board, in their order; `clean` comes last, whatever happened."""

    def __init__(self, board: Board, task: Work, settings: Settings, reach: Reach, diary: Diary) -> None:
        """Describe the visit; nothing is done yet."""
        self._board, self._work, self._settings = board, task, settings
        self._reach, self._link, self._diary = reach, reach.link, diary
        self._run = secrets.token_hex(6)
        self._taken = self._joined = False
        self.folder = ""
        self.facts: Facts | None = None
        self.notes: list[str] = []

    def take(self) -> None:
        """Make the folder, and take the board for this run, or join the same run where it still goes on there."""
        wanted = self._board.address.folder
        self.folder = self._told(lambda: self._link.run(scripts.FOLDER, [wanted])).strip()
        key = work.key(self._work, self._board)
        for _ in range(2):
            answer = self._told(lambda: self._link.run(scripts.LOCK, [self.folder, self._run, key])).split()
            if answer[:1] == ["taken"]:
                self._taken = True
                return
            if answer[:1] == ["running"] and answer[2:] == [key]:
                self._run, self._joined = answer[1], True
                self.notes.append("the same command was still running there and was joined")
                self._diary.say("joins the run that still goes on there")
                continue
            break
        raise BoardError(
            "refused",
            f"another run ({' '.join(answer[:2])}) has this board, and two at once would disturb each other; wait for "
            "its end",
        )

    def inspect(self) -> Facts:
        """Find the interpreter, and see what the board is."""
        found = self._reach.do(lambda: facts.inspect(self._link, self._board, self.folder))
        self.facts = found
        self._reach.expect(self.folder, found.boot_id)
        libc, (major, minor) = found.libc
        self._diary.say(
            f"{found.system}, {found.machine}, {libc} {major}.{minor}, Python {found.python[0]}.{found.python[1]}, "
            f"{found.free // _MIB} MiB free"
        )
        if abs(found.offset) - found.offset_error > _CLOCK_SECONDS:
            self.notes.append(
                f"the board's clock is {_span(abs(found.offset))} {'ahead of' if found.offset > 0 else 'behind'} this "
                f"machine's; dates in its results are off by that, durations are not"
            )
        return found

    def send(self, found: Facts) -> Environment:
        """Send what is not there yet, after a look at the disk, and give it its place in the run's folder."""
        wheels = environment.wheels_for(self._board, found)
        payloads = (*self._work.sent, *wheels)
        plan = environment.plan(self._board, found, self.folder, self._run, self._work.wheel, wheels)
        have = self._reach.do(lambda: store.present(self._link, self.folder, payloads))
        missing = [payload for payload in payloads if have[payload.digest] != store.WHOLE]
        self._check_disk(found, plan, missing, have)
        self._diary.say(
            f"{len(missing)} of {len(payloads)} files to send, {sum(p.size for p in missing) / _MIB:.1f} MiB"
            if missing
            else "everything is there already"
        )
        self._reach.do(lambda: self._send(missing))
        if not self._joined:
            for payload in payloads:
                self._reach.do(lambda p=payload: self._place(p, found))  # type: ignore[misc]
        return plan

    def prepare(self, plan: Environment) -> None:
        """Make the environment, unless it is there."""
        step = job.Job(self.folder, self._run, "environment")
        self._started(step, plan.program)
        look = self._wait(step, _ENVIRONMENT_SECONDS)
        if look.code:
            raise self._environment_error()

    def run(self, plan: Environment) -> None:
        """Run ``edgekit bench``, apart from the link, and wait for its end."""
        step = job.Job(self.folder, self._run, "run")
        begin = time.monotonic()
        self._started(step, work.program(self._work, self._board, plan, self.folder, self._run))
        self._diary.say(f"edgekit {' '.join(work.command(self._work, self._board))}")
        look = self._wait(step, self._settings.limit)
        # A run that was joined had begun before.
        self._diary.seconds["waiting"] = max(0.0, time.monotonic() - begin - look.seconds)
        self._diary.seconds["on the board"] = look.seconds
        if look.code:
            raise self._run_error(look.code)

    def stop(self) -> None:
        """End whatever of this run still goes on."""
        if self._taken:
            self._link.run(scripts.STOP, [self.folder, self._run])

    def collect(self) -> list[tuple[str, bytes]]:
        """Return name and content of every result that is there whole."""
        return self._reach.do(lambda: collecting.collect(self._link, self.folder, self._run)) if self._taken else []

    def clean(self) -> None:
        """Remove everything, or what a next run cannot use."""
        if self._taken:
            how = "keep" if self._settings.keep else "all"
            self._link.run(scripts.CLEAN, [self.folder, self._run, how])

    def _send(self, payloads: list[Payload]) -> None:
        have = store.present(self._link, self.folder, payloads)
        total = sum(payload.size for payload in payloads)
        before = 0
        for payload in payloads:
            if have[payload.digest] != store.WHOLE:
                base = before
                store.send(
                    self._link,
                    self.folder,
                    payload,
                    have[payload.digest],
                    lambda n, base=base: self._diary.sent(base + n, total),  # type: ignore[misc]
                )
            before += payload.size

    def _place(self, payload: Payload, found: Facts) -> None:
        store.place(self._link, self.folder, self._run, payload, found.executable)

    def _check_disk(self, found: Facts, plan: Environment, missing: list[Payload], have: dict[str, int]) -> None:
        there = self._told(lambda: self._link.run('[ ! -e "$1/.ok" ] || echo yes', [plan.place])).strip()
        needed = sum(p.size - max(0, have[p.digest]) for p in missing) + (0 if there else plan.needs)
        if found.free < needed:
            raise BoardError(
                "disk-full",
                f"{self.folder}: {found.free / _MIB:.0f} MiB are free there, about {needed / _MIB:.0f} MiB are needed; "
                f"make room, or name a folder on another disk: ssh://HOST/FOLDER",
            )

    def _started(self, step: job.Job, program: str) -> None:
        try:
            self._reach.do(lambda: job.start(self._link, step, program))
        except ScriptError as error:
            raise store.full(error, self.folder) from error

    def _wait(self, step: job.Job, limit: float) -> job.Look:
        seen, begin = 0, time.monotonic()
        while True:
            look = self._reach.do(lambda: job.look(self._link, step, seen))  # noqa: B023
            seen += len(look.log)
            self._diary.printed(look.log)
            self._reach.check_boot(look.boot_id)
            if look.standing in ("ended", "gone") and len(look.log) == job.MOST_LOG:
                # The last line, which tells what went wrong, is still to come.
                continue
            gone = time.monotonic() - begin
            if look.standing == "ended":
                return look
            if look.standing in ("gone", "missing") or (look.standing == "starting" and gone > _STARTING_SECONDS):
                raise self._gone_error(look)
            if limit and gone > limit:
                self._reach.do(self.stop)
                raise BoardError("failed", f"did not end within {limit:.0f} s, and was ended{self._last()}")
            self._reach.sleep(min(_FAST_POLL, self._settings.poll) if gone < _FAST_SECONDS else self._settings.poll)

    def _gone_error(self, look: job.Look) -> BoardError:
        if look.standing == "missing":
            return BoardError("failed", "the run's folder was removed from the board meanwhile")
        if look.free < _MIB:
            return BoardError("disk-full", f"{self.folder}: the board's disk became full meanwhile{self._last()}")
        if look.standing == "starting":
            return BoardError("failed", f"did not start within {_STARTING_SECONDS:.0f} s")
        return BoardError(
            "failed",
            "was ended from outside and left no result: the system does that for want of memory (dmesg), or when its "
            f"user logs out (KillUserProcesses of logind.conf){self._last()}",
        )

    def _environment_error(self) -> BoardError:
        last = self._diary.last_line
        if "No space left on device" in last or "Errno 28" in last:
            return BoardError("disk-full", f"{self.folder}: the board's disk became full with the environment")
        found = self.facts
        hint = ""
        if found and ("No matching distribution" in last or "Could not find a version" in last):
            filling = environment.command(found, self._board.extras)
            hint = f". Give all of its wheels ('wheels' of the fleet file, --on-wheels): {filling}"
        elif found and abs(found.offset) > _CLOCK_SECONDS and "CERTIFICATE" in last.upper():
            hint = ". The board's clock is off, so that certificates are not valid there: set it"
        return BoardError("failed", f"the environment could not be made there{self._last()}{hint}")

    def _run_error(self, code: int) -> BoardError:
        last = self._diary.last_line
        if "No space left on device" in last:
            return BoardError("disk-full", f"{self.folder}: the board's disk became full meanwhile{self._last()}")
        hint = ""
        if "ModuleNotFoundError" in last and "'edgekit" not in last and self._board.environment == "own":
            hint = f". Install it there: {self._board.python} -m pip install 'edgekit[bench]'"
        return BoardError("failed", f"edgekit bench ended there with exit code {code}{self._last()}{hint}")

    def _last(self) -> str:
        return f"; its last line: {self._diary.last_line}" if self._diary.last_line else ""

    def _told(self, action: Callable[[], bytes]) -> str:
        try:
            return self._reach.do(action).decode(errors="replace")
        except ScriptError as error:
            if error.full_disk:
                raise store.full(error, self.folder or "the folder") from error
            raise BoardError("refused", f"the folder there cannot be used: {error}") from error


def _span(seconds: float) -> str:
    for unit, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} seconds"
