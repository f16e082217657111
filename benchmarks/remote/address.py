"""Addresses of boards, ``ssh://user@host[:port][/folder]``, with nothing in them that a shell or SSH could mistake."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress

from edgekit.benchmarks.remote.records import Address
from edgekit.errors import InputError

SCHEME = "ssh://"
# What `useradd` takes; a leading '-' would be an option of ssh.
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,31}")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_SCOPE = re.compile(r"[A-Za-z0-9._-]{1,15}")
_FOLDER = re.compile(r"[A-Za-z0-9._+@=,-]{1,128}")
_LONGEST = 1024


def parse(text: str) -> Address:
    """Read an address.

    A folder is absolute (``/data/edgekit``), or begins with ``/~/`` and is in the user's home (``/~/edgekit``).

    Args:
        text: ``ssh://user@host``, with ``:port`` and ``/folder`` where wanted; an IPv6 address stands in brackets. User
            and port may be left to SSH's own configuration, in which `host` may be an alias.

    Returns:
        Its parts.

    Raises:
        InputError: it is none, has a password in it, or a part holds other characters than such a part may have.
    """
    shown = ascii(text[:80])
    if not text.startswith(SCHEME) or len(text) > _LONGEST:
        raise InputError(f"{shown}: is no address of a board; write ssh://user@host, :port and /folder behind it")
    login, slash, folder = text.removeprefix(SCHEME).partition("/")
    user, at, place = login.rpartition("@")
    # A password may hold a slash, and then what stands before it is no port, and the '@' comes behind it.
    cut = not at and "@" in folder and re.fullmatch(r"[^\[:]+:.*[^0-9].*", place)
    if ":" in user or cut:
        raise InputError(
            "ssh://user:…@: holds a password, which every user of this machine could read; use a key: "
            "ssh-copy-id user@host"
        )
    if at and not _USER.fullmatch(user):
        raise InputError(f"{shown}: {user[:40]!a} is no name of a user")
    host, port = _host_and_port(place, shown)
    if slash:
        _check_folder(folder, shown)
    return Address(user, host, port, f"/{folder.rstrip('/')}" if slash and folder else "")


def _host_and_port(place: str, shown: str) -> tuple[str, int]:
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")) or not _is_ipv6(host):
            raise InputError(f"{shown}: {place[:60]!a} is no IPv6 address in brackets, such as [fe80::1%eth0]")
        colon, port = rest[:1], rest[1:]
    else:
        host, colon, port = place.partition(":")
        if not _HOST.fullmatch(host):
            raise InputError(f"{shown}: {host[:60]!a} is no name or IP address of a host (IPv6 in brackets)")
    if not colon:
        return host, 0
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise InputError(f"{shown}: the port {port[:20]!a} is not in 1..65535")
    return host, int(port)


def _is_ipv6(host: str) -> bool:
    plain, percent, scope = host.partition("%")
    if percent and not _SCOPE.fullmatch(scope):
        return False
    with suppress(ValueError):
        return ipaddress.IPv6Address(plain) is not None
    return False


def _check_folder(folder: str, shown: str) -> None:
    parts = folder.rstrip("/").split("/") if folder else []
    if parts and parts[0] == "~":
        parts = parts[1:]
    if folder and not parts:
        raise InputError(f"{shown}: the home or root folder itself is not taken; name a folder in it")
    for part in parts:
        if not _FOLDER.fullmatch(part) or part in (".", ".."):
            raise InputError(
                f"{shown}: {part[:40]!a} in the folder's path: letters, digits and . _ + @ = , - are taken"
            )
