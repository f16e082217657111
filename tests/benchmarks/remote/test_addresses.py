"""Addresses of boards: what is taken, and that nothing odd ever gets through."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.remote import address
from edgekit.benchmarks.remote.records import Address
from edgekit.errors import InputError


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ssh://pi5", Address("", "pi5")),
        ("ssh://pi@pi5.local", Address("pi", "pi5.local")),
        ("ssh://pi@10.0.0.7:2222", Address("pi", "10.0.0.7", 2222)),
        ("ssh://pi@pi5/data/edge-kit_1", Address("pi", "pi5", 0, "/data/edge-kit_1")),
        ("ssh://pi@pi5:22/~/bench/", Address("pi", "pi5", 22, "/~/bench")),
        ("ssh://pi5/", Address("", "pi5")),
        ("ssh://root@[fe80::1%eth0]:2222", Address("root", "fe80::1%eth0", 2222)),
        ("ssh://[::1]", Address("", "::1")),
    ],
)
def test_addresses_are_read(text, parts):
    assert address.parse(text) == parts
    assert address.parse(str(parts)) == parts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pi@pi5", "is no address of a board; write ssh://user@host"),
        ("http://pi5", "is no address of a board"),
        ("ssh://pi:secret@pi5", "holds a password, which every user of this machine could read"),
        ("ssh://@pi5", "is no name of a user"),
        ("ssh://-oProxyCommand=x@pi5", "is no name of a user"),
        ("ssh://-oProxyCommand=touch", "is no name or IP address of a host"),
        ("ssh://pi@", "is no name or IP address of a host"),
        ("ssh://pi@a b", "is no name or IP address of a host"),
        ("ssh://pi@h;reboot", "is no name or IP address of a host"),
        ("ssh://pi@h\n", "is no name or IP address of a host"),
        ("ssh://pi@fe80::1", "the port"),
        ("ssh://pi@[fe80::1", "is no IPv6 address in brackets"),
        ("ssh://pi@[zz]", "is no IPv6 address in brackets"),
        ("ssh://pi@[::1]22", "is no IPv6 address in brackets"),
        ("ssh://pi@[::1%e;h]", "is no IPv6 address in brackets"),
        ("ssh://pi@pi5:0", "is not in 1..65535"),
        ("ssh://pi@pi5:99999", "is not in 1..65535"),
        ("ssh://pi@pi5:", "is not in 1..65535"),
        ("ssh://pi@pi5/a/../../etc", "'..' in the folder's path"),
        ("ssh://pi@pi5/a b", "'a b' in the folder's path"),
        ("ssh://pi@pi5//", "in the folder's path|root folder itself"),
        ("ssh://pi@pi5/~", "home or root folder itself"),
        ("ssh://pi@pi5/$(id)", "in the folder's path"),
        ("ssh://" + "a" * 2000, "is no address of a board"),
    ],
)
def test_everything_else_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        address.parse(text)


@pytest.mark.parametrize("text", ["ssh://pi:secret@pi5", "ssh://pi:secret/x@pi5", "ssh://pi:x:/secret@pi5:22/~/a"])
def test_a_password_is_not_repeated(text):
    with pytest.raises(InputError, match="holds a password, which every user of this machine could read") as caught:
        address.parse(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["ssh://h:22/data/@home", "ssh://h/@x", "ssh://pi@h/a@b", "ssh://[::1]:22/@a"])
def test_an_at_sign_in_a_folder_is_none(text):
    assert str(address.parse(text)) == text


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ssh://pi@pi5/a", "ssh://root@PI5/b", True),
        ("ssh://[FE80::1%eth0]:22", "ssh://[fe80::1%eth0]:22", True),
        # What a port is without one is up to SSH's own configuration.
        ("ssh://pi5", "ssh://pi5:22", False),
        ("ssh://pi5:22", "ssh://pi5:2222", False),
        ("ssh://pi5", "ssh://pi4", False),
    ],
)
def test_one_machine_is_known_whoever_logs_in(one, other, same):
    assert (address.parse(one).machine == address.parse(other).machine) is same


_USERS = st.from_regex(r"[a-z_][a-z0-9._-]{0,5}", fullmatch=True)
_NAMES = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9.-]{0,5}[a-zA-Z0-9])?", fullmatch=True)
_HOSTS = _NAMES | st.ip_addresses().map(str)
_FOLDERS = st.lists(st.from_regex(r"[A-Za-z0-9_+@=,-]{1,5}", fullmatch=True), max_size=3)


@settings(deadline=None, max_examples=50)
@given(_USERS | st.just(""), _HOSTS, st.integers(0, 65535), st.sampled_from(["", "~"]), _FOLDERS)
def test_every_address_of_parts_that_are_taken_is_read_as_it_was_made(user, host, port, home, folder):
    path = "".join(f"/{part}" for part in ([home] if home and folder else []) + folder)
    made = Address(user, host, port, path)
    assert address.parse(str(made)) == made


_PIECES = st.sampled_from(
    ["ssh://", "pi", "@", ":", "/", "[", "]", "-o", "..", "~", "22", "a", ";", " ", "\n", "$", "é", "%"]
)


@settings(deadline=None, max_examples=50)
@given(text=st.lists(_PIECES, max_size=9).map("".join))
@example("ssh://a@b@c")
def test_what_is_read_has_only_harmless_characters(text):
    try:
        found = address.parse(text)
    except InputError as error:
        assert "\n" not in str(error)
        return
    assert address.parse(str(found)) == found
    for part in (found.user, found.host, found.folder):
        assert not part.startswith("-")
        assert not set(part) & set(" \n\t;$'\"\\`&|<>()*?é")
    assert ".." not in found.folder.split("/")
