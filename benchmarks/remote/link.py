"""A link to a board: scripts and files through the system's OpenSSH client.

The client honours the user's own configuration, agent and jump hosts. Nothing is ever asked (``BatchMode``), an unknown
host key is refused, and one master connection serves all commands, where the system can share one.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edgekit.benchmarks.remote.ssh_errors import LinkDownError, ScriptError, explain
from edgekit.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgekit.benchmarks.remote.records import Address, Settings

# A Unix socket's path has about 108 bytes, and ssh adds some while it makes it.
_LONGEST_SOCKET = 80
_TICK = 0.05
# What a board may take for the smallest command, beyond what the link may be silent.
_PATIENCE_OF_COMMAND = 120.0
_MOST_OUTPUT = 256 << 20


class Link:
    """A connection that can be opened again after it was lost; not to be shared between threads."""

    def __init__(self, address: Address, settings: Settings, interrupted: Callable[[], None]) -> None:
        """Describe the connection; `open` makes it. `interrupted` is called often, and may raise."""
        self._address, self._settings, self._interrupted = address, settings, interrupted
        self._folder = tempfile.TemporaryDirectory(prefix="edgekit-ssh-")
        socket = Path(self._folder.name) / "s"
        self._socket = socket if len(os.fsencode(socket)) <= _LONGEST_SOCKET else None
        self._master: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """Connect.

        Raises:
            LinkDownError: it did not work, and may work later.
            BoardError: it did not work, and will not: an unknown host key, no login, a broken configuration.
            MissingDependencyError: there is no OpenSSH client here.
        """
        self.drop()
        if self._socket is None:
            self.run(":")
            return
        with tempfile.TemporaryFile() as log:
            self._master = self._start(["-M", "-N", "-S", str(self._socket)], [], subprocess.DEVNULL, log)
            end = time.monotonic() + self._settings.connect + self._settings.alive
            while not self._socket.exists():
                if self._master.poll() is not None or time.monotonic() > end:
                    self.drop()
                    raise explain(_text(log), self._address)
                self._pause()

    def drop(self) -> None:
        """End the connection, if there is one."""
        if self._master is not None:
            _end(self._master)
            self._master = None
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)

    def close(self) -> None:
        """End the connection for good."""
        self.drop()
        self._folder.cleanup()

    def run(self, script: str, words: Sequence[str] = (), seconds: float = _PATIENCE_OF_COMMAND) -> bytes:
        """Run a script on the board by its ``sh``.

        Args:
            script: POSIX shell; it reads `words` as ``$1``, ``$2``, …, and must not read its standard input.
            words: any texts without NUL.
            seconds: after which the board is taken for dead.

        Returns:
            What it printed, byte for byte.

        Raises:
            ScriptError: it ended with another code than 0.
            LinkDownError: the link was cut, or the board did not answer in time.
        """
        mark = secrets.token_hex(12)
        # The whole script is read before any of it runs; then nothing that runs can eat the rest from standard input.
        call = _framed('(main "$@" </dev/null)', mark)
        text = f"main() {{\n{script}\n}}\nset -- {shlex.join(words)}\n{call}\n"
        with tempfile.TemporaryFile() as stream:
            stream.write(text.encode())
            stream.seek(0)
            return self._command("exec sh -s", stream, mark, seconds, lambda: None)

    def send(self, path: Path, offset: int, target: str, on_bytes: Callable[[int], None]) -> None:
        """Append a file, from an offset on, to a file on the board.

        Args:
            path: of the file here.
            offset: bytes that are left out at its begin.
            target: path on the board; its folder exists.
            on_bytes: called now and then with the bytes of the file that were handed to the client.

        Raises:
            ScriptError: the board could not write.
            LinkDownError: the link was cut.
        """
        mark = secrets.token_hex(12)
        # One line, as the login shell may be of any kind; only quoted words, and no character that csh or fish reads
        # between quotes.
        inner = shlex.join(["sh", "-c", _framed('cat >>"$1"', mark), "sh", target])
        with path.open("rb") as stream:
            stream.seek(offset)

            def progress() -> None:
                # The client reads through the same open file, whose position therefore tells how far it is.
                on_bytes(os.lseek(stream.fileno(), 0, os.SEEK_CUR))

            self._command(f"exec {inner}", stream, mark, 0.0, progress)

    def _command(self, command: str, stdin: BinaryIO, mark: str, seconds: float, on_tick: Callable[[], None]) -> bytes:
        """Run one command; `seconds` of 0 is no limit, as with files, where ssh itself notices a dead link."""
        if self._master is not None and self._master.poll() is not None:
            # The client would connect by itself, and nobody would know that the link was cut.
            raise LinkDownError(f"{self._address}: the connection has ended")
        how = ["-S", str(self._socket), "-o", "ControlMaster=no"] if self._socket else ["-o", "ControlPath=none"]
        end = time.monotonic() + seconds + self._settings.connect + self._settings.alive
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            child = self._start(how, [command], stdin, errors, output)
            try:
                while child.poll() is None:
                    if seconds and time.monotonic() > end:
                        raise LinkDownError(f"{self._address}: no answer within {seconds:.0f} s")
                    on_tick()
                    self._pause(child)
            finally:
                _end(child)
            found = _unframed(_bytes(output), mark)
            if found is None:
                if self._socket is None or self._master is None:
                    raise explain(_text(errors), self._address)
                raise LinkDownError(f"{self._address}: the link was cut: {_text(errors).strip() or 'without a word'}")
            code, printed = found
            if code:
                raise ScriptError(code, printed, _text(errors))
            return printed

    def _start(
        self,
        how: list[str],
        command: list[str],
        stdin: BinaryIO | int,
        errors: BinaryIO,
        output: BinaryIO | int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        beat = max(1, round(self._settings.alive / 3))
        options = [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            f"ConnectTimeout={max(1, round(self._settings.connect))}",
            "ConnectionAttempts=1",
            f"ServerAliveInterval={beat}",
            "ServerAliveCountMax=3",
            "ClearAllForwardings=yes",
            "ForwardAgent=no",
            "ForwardX11=no",
            "PermitLocalCommand=no",
            "RemoteCommand=none",
            "RequestTTY=no",
            "ControlPersist=no",
            "LogLevel=ERROR",
        ]
        words = [*self._settings.ssh, *(word for option in options for word in ("-o", option)), *how]
        if self._address.port:
            words += ["-p", str(self._address.port)]
        if self._address.user:
            words += ["-l", self._address.user]
        try:
            return subprocess.Popen(
                [*words, "--", self._address.host, *command],
                stdin=stdin,
                stdout=output,
                stderr=errors,
                env={**os.environ, "LC_ALL": "C"},
                # Ctrl-C is for this process, which still needs the link to clean up.
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise MissingDependencyError(
                f"{self._settings.ssh[0]}: not found; boards are reached by the system's OpenSSH client: "
                "install openssh-client"
            ) from error

    def _pause(self, child: subprocess.Popen[bytes] | None = None) -> None:
        self._interrupted()
        if child is None:
            time.sleep(_TICK)
            return
        with suppress(subprocess.TimeoutExpired):
            child.wait(_TICK)


def _framed(command: str, mark: str) -> str:
    """A command between two marks: what a login script prints before, and a link that is cut, are told from it."""
    return f'printf "%s\\n" {mark}; {command}; printf "\\n%s %d\\n" {mark} $?'


def _unframed(output: bytes, mark: str) -> tuple[int, bytes] | None:
    """The exit code and the output between the marks; None where the last mark did not arrive."""
    begin, end = f"{mark}\n".encode(), f"\n{mark} ".encode()
    first, last = output.find(begin), output.rfind(end)
    if first < 0 or last < 0:
        return None
    code, newline, _ = output[last + len(end) :].partition(b"\n")
    return (int(code), output[first + len(begin) : last]) if newline and code.isdigit() else None


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _bytes(stream: BinaryIO) -> bytes:
    stream.seek(0)
    return stream.read(_MOST_OUTPUT)


def _text(stream: BinaryIO) -> str:
    return _bytes(stream).decode(errors="replace")
