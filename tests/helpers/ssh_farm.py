"""Boards to run on: SSH servers, each in a network, process and mount namespace of its own, with keys of its own.

A board's first process starts its SSH server again whenever that ends, as a system does; ending the first process ends
all others of that board, as a power cut does.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from edgekit.benchmarks.remote.records import Address

_TOOLS = ("sshd", "ssh", "ssh-keygen", "ip", "unshare", "nsenter", "mount")
# Of the addresses that are set apart for benchmarks (RFC 2544), by process, so that two test workers keep apart.
_NUMBERS = itertools.count()
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

_INIT = """
mount --bind {boot} /proc/sys/kernel/random/boot_id
mount --bind {folder}/passwd /etc/passwd
{home}
{more}
mkdir -p /run/sshd
ip link set lo up
while :; do
  [ -e {folder}/refuses ] || {sshd} -D -e -f {folder}/sshd_config >>{folder}/sshd.log 2>&1
  sleep 0.2
done
"""

_CONFIG = """
Port 22
ListenAddress {address}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/user_key.pub
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
MaxStartups 100
{more}
"""


def missing() -> str:
    """Say why there can be no such boards here; empty where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = [tool for tool in _TOOLS if not shutil.which(tool, path=_PATH)]
    if absent:
        return f"not installed: {', '.join(absent)} (sh .ci/tools)"
    name = f"ek-try-{os.getpid()}"
    _remove_leftovers()
    made = _try("ip", "netns", "add", name)
    _try("ip", "netns", "del", name)
    return "" if made else "network namespaces cannot be made here"


class Host:
    """One board; `address` is how to reach it, `home` what is its user's home folder here."""

    def __init__(self, folder: Path, disk: str = "", mounts: str = "", config: str = "") -> None:
        number = next(_NUMBERS)
        self.folder, self._mounts, self._disk = folder, mounts, disk
        self.name = f"ek{os.getpid()}n{number}"
        net = f"198.{18 + os.getpid() % 2}.{os.getpid() // 2 % 250}"
        self.ip, self._gateway = f"{net}.{4 * number % 252 + 2}", f"{net}.{4 * number % 252 + 1}"
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        for key in ("host_key", "user_key"):
            _must("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / key))
        (folder / "sshd_config").write_text(_CONFIG.format(address=self.ip, folder=folder, more=config))
        # Interpreters may be in this user's own home, which therefore stays where it is.
        (folder / "passwd").write_text(_with_home(self.home))
        self.ssh = self._client_config()
        self._init: subprocess.Popen[bytes] | None = None
        try:
            _must("ip", "netns", "add", self.name)
            _must("ip", "link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", self.name)
            _must("ip", "addr", "add", f"{self._gateway}/30", "dev", self.name)
            _must("ip", "link", "set", self.name, "up")
            _must("ip", "-n", self.name, "addr", "add", f"{self.ip}/30", "dev", "eth0")
            _must("ip", "-n", self.name, "link", "set", "eth0", "up")
            self.start()
        except BaseException:
            self.close()
            raise

    def address(self, folder: str = "") -> Address:
        return Address("root", self.ip, 0, folder)

    def start(self) -> None:
        """Start the board, with a new identifier of its boot."""
        boot = self.folder / "boot_id"
        boot.write_text(f"{uuid.uuid4()}\n")
        home = f"mount -t tmpfs -o size={self._disk},mode=700 edgekit-test {self.home}" if self._disk else ""
        sshd = shutil.which("sshd", path=_PATH)
        script = _INIT.format(boot=boot, home=home, more=self._mounts, sshd=sshd, folder=self.folder)
        inner = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script]
        with (self.folder / "init.log").open("ab") as log:
            self._init = subprocess.Popen(
                ["ip", "netns", "exec", self.name, *inner],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + 20
        while "Server listening" not in self.log():
            if time.monotonic() > end or self._init.poll() is not None:
                pytest.fail(f"the SSH server did not start: {self.log()}{(self.folder / 'init.log').read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Cut the power."""
        if self._init is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._init.pid, signal.SIGKILL)
            for pid in self._children():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._init.wait()
            self._init = None
        (self.folder / "sshd.log").unlink(missing_ok=True)

    def reboot(self) -> None:
        self.stop()
        self.start()

    def kill_sshd(self) -> int:
        """End every process of the SSH server; the board starts a new one."""
        ended = [pid for pid in self._children() if _command(pid).startswith("sshd")]
        for pid in ended:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(ended)

    def refuse(self) -> None:
        """End the SSH server and every connection, and start no new one until `mend`."""
        (self.folder / "refuses").touch()
        self.kill_sshd()

    def cut(self) -> None:
        """Take the link down: nothing is told to either side."""
        _must("ip", "-n", self.name, "link", "set", "eth0", "down")

    def mend(self) -> None:
        (self.folder / "refuses").unlink(missing_ok=True)
        _must("ip", "-n", self.name, "link", "set", "eth0", "up")

    def log(self) -> str:
        path = self.folder / "sshd.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def inside(self, command: str) -> str:
        """Run a shell command on the board, past SSH."""
        pid = next(pid for pid in self._children() if _command(pid).startswith("sh "))
        found = subprocess.run(
            ["nsenter", "-t", str(pid), "-m", "-p", "-n", "sh", "-c", command], capture_output=True, check=False
        )
        return found.stdout.decode(errors="replace")

    def close(self) -> None:
        self.stop()
        _try("ip", "netns", "del", self.name)
        _try("ip", "link", "del", self.name)

    def _client_config(self) -> tuple[str, ...]:
        key = (self.folder / "host_key.pub").read_text()
        (self.folder / "known_hosts").write_text(f"{self.ip} {key}")
        config = self.folder / "ssh_config"
        config.write_text(
            f"IdentityFile {self.folder}/user_key\nIdentitiesOnly yes\nIdentityAgent none\n"
            f"UserKnownHostsFile {self.folder}/known_hosts\nGlobalKnownHostsFile none\n"
        )
        return ("ssh", "-F", str(config))

    def _children(self) -> list[int]:
        """The processes of the board, by their numbers here."""
        parents: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError, IndexError, ValueError):
                    parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        found = [self._init.pid] if self._init else []
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found[1:]


def shared_config(hosts: list[Host], path: Path) -> tuple[str, ...]:
    """A client's configuration for several boards at once."""
    blocks = [f"Host {host.ip}\n{Path(host.ssh[2]).read_text()}" for host in hosts]
    path.write_text("\n".join(blocks))
    return ("ssh", "-F", str(path))


def _remove_leftovers() -> None:
    """Remove the networks of test processes that were killed."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, env={"PATH": _PATH}, check=False)
    for found in re.finditer(r"^(ek([0-9]+)n[0-9]+)\b", listed.stdout, re.MULTILINE):
        if not Path(f"/proc/{found[2]}").exists():
            _try("ip", "netns", "del", found[1])


def _with_home(home: Path) -> str:
    lines = [line.split(":") for line in Path("/etc/passwd").read_text().splitlines()]
    changed = [[*words[:5], str(home), "/bin/bash"] if words[0] == "root" else words for words in lines]
    return "".join(":".join(words) + "\n" for words in changed)


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _try(*command: str) -> bool:
    environment = {**os.environ, "PATH": _PATH}
    return subprocess.run(command, capture_output=True, env=environment, check=False).returncode == 0


def _must(*command: str) -> None:
    environment = {**os.environ, "PATH": _PATH}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    if done.returncode:
        pytest.fail(f"{shlex.join(command)}: {done.stderr.decode(errors='replace')}")
