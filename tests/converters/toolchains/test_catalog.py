"""Every lock is complete: exact versions, no package twice, a licence, and a way to try it."""

from __future__ import annotations

import re

import pytest

from edgekit.converters.toolchains import catalog
from edgekit.errors import InputError

PIN = re.compile(r"[A-Za-z0-9_.\-]+==[0-9][0-9A-Za-z.+]*")


@pytest.mark.parametrize("name", catalog.names())
def test_a_lock_is_complete(name: str) -> None:
    known = catalog.find(name)
    packages = [package for step in known.steps for package in step.packages]
    assert known.name == name
    assert packages
    assert all(PIN.fullmatch(package) for package in packages)
    names = [package.partition("==")[0].lower().replace("_", "-") for package in packages]
    assert len(set(names)) == len(names)
    assert known.purpose.endswith(".")
    assert known.license
    assert known.probe
    assert known.disk_mb > 0
    assert known.minutes > 0
    assert all(re.fullmatch(r"3\.\d+", version) for version in known.pythons)


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(InputError, match=r"no toolchain 'abacus'; there are .*rknn.*vela"):
        catalog.find("abacus")


def test_every_change_gives_another_digest() -> None:
    digests = {catalog.digest(catalog.find(name)) for name in catalog.names()}
    assert len(digests) == len(catalog.names())
