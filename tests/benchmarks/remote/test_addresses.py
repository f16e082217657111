"""Addresses of boards: what is taken, and that nothing odd ever gets through."""

from __future__ import annotations

import pytest
from hypothesis import example, given
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


def test_a_password_is_not_repeated():
    with pytest.raises(InputError) as caught:
        address.parse("ssh://pi:secret@pi5")
    assert "secret" not in str(caught.value)


_PIECES = st.sampled_from(
    ["ssh://", "pi", "@", ":", "/", "[", "]", "-o", "..", "~", "22", "a", ";", " ", "\n", "$", "é", "%"]
)


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
