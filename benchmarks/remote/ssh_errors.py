"""How a link or a command on a board can fail, and what OpenSSH's messages mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import ExecutionError

if TYPE_CHECKING:
    from edgekit.benchmarks.remote.records import Address, Ending


class LinkDownError(ExecutionError):
    """The link is not there, or was cut; trying again may help."""


class BoardError(ExecutionError):
    """The board cannot do this; trying again does not help."""

    def __init__(self, ending: Ending, reason: str) -> None:
        """Keep how the visit ends, in one word and in a sentence."""
        super().__init__(reason)
        self.ending: Ending = ending


class ScriptError(ExecutionError):
    """A command on the board ended with another code than 0."""

    def __init__(self, code: int, output: bytes, errors: str) -> None:
        """Keep the exit code, what the command had printed, and its last line of errors."""
        lines = [line.strip() for line in errors.splitlines() if line.strip()]
        super().__init__(lines[-1] if lines else f"a command on the board failed with exit code {code}")
        self.code, self.output, self.full_disk = code, output, "No space left on device" in errors


def explain(message: str, address: Address) -> LinkDownError | BoardError:
    """Turn what ``ssh`` printed when it could not connect into an error with a way out.

    Args:
        message: its standard error, in English.
        address: of the board.

    Returns:
        `BoardError` where only the user can help (keys, names, configuration), else `LinkDownError`.
    """
    port = f"-p {address.port} " if address.port else ""
    login = f"{port}{address.user + '@' if address.user else ''}{address.host}"
    last = _last(message)
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in message:
        return BoardError(
            "refused",
            f"{address}: the board shows another host key than the known one: it was set up anew, or somebody stands "
            f"between. Compare the fingerprint on the board itself (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub); "
            f"if it is right, remove the old key (ssh-keygen -R {_known(address)}) and add the new one (ssh {login})",
        )
    if "key verification failed" in message.lower() or "host key is known for" in message:
        return BoardError(
            "refused",
            f"{address}: the board's host key is unknown here. Compare its fingerprint with the board's own "
            f"(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub there) and accept it once: ssh {login}",
        )
    if "Permission denied" in message or "Too many authentication failures" in message:
        return BoardError(
            "refused",
            f"{address}: the board lets no key of this user in ({last}); put one there: ssh-copy-id {login}",
        )
    if "Could not resolve hostname" in message:
        return LinkDownError(f"{address}: the name cannot be resolved ({last})")
    if "Bad configuration option" in message or "Can't open user config file" in message or "Bad owner" in message:
        return BoardError("refused", f"{address}: SSH's own configuration cannot be used: {last}")
    return LinkDownError(f"{address}: {last or 'ssh ended without a word'}")


def _last(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def _known(address: Address) -> str:
    return f"'[{address.host}]:{address.port}'" if address.port not in (0, 22) else address.host
