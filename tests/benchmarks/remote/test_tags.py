"""Which wheels fit which boards, as the packaging library has it for each of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from edgekit.benchmarks.remote import tags
from edgekit.benchmarks.remote.records import Facts

OLD = {(2, 5): "manylinux1", (2, 12): "manylinux2010", (2, 17): "manylinux2014"}
PI5 = Facts("/usr/bin/python3", (3, 11), "cpython", "aarch64", ("glibc", (2, 36)), "", "", 0.0, 0.0, 0)
BOARDS = {
    "Pi 5": PI5,
    "Jetson, JetPack 5": replace(PI5, python=(3, 10), libc=("glibc", (2, 31))),
    "Pi 3, 32 bits": replace(PI5, machine="armv7l"),
    "Pi 4, a 32-bit system": replace(PI5, machine="armv8l", libc=("glibc", (2, 31))),
    "RISC-V": replace(PI5, python=(3, 13), machine="riscv64", libc=("glibc", (2, 41))),
    "a PC with an old system": replace(PI5, python=(3, 12), machine="x86_64", libc=("glibc", (2, 17))),
    "Alpine": replace(PI5, python=(3, 12), libc=("musl", (1, 2))),
}


def platforms(facts: Facts) -> list[str]:
    """The platforms that a board runs, by PEP 600 and PEP 656."""
    machines = ["armv8l", "armv7l"] if facts.machine == "armv8l" else [facts.machine]
    kind, (major, minor) = facts.libc
    found = [f"linux_{machine}" for machine in machines]
    for machine in machines:
        if kind == "musl":
            found += [f"musllinux_{major}_{m}_{machine}" for m in range(minor + 1)]
            continue
        for m in range(5 if machine in ("x86_64", "i686") else 17, minor + 1):
            found += [f"manylinux_{major}_{m}_{machine}"]
            found += [f"{OLD[major, m]}_{machine}"] if (major, m) in OLD else []
    return found


MACHINES = ("aarch64", "armv7l", "armv8l", "riscv64", "x86_64")
ANY = ["any", "win_arm64", *(f"linux_{machine}" for machine in MACHINES)]
ANY += [f"{name}_{machine}" for name in (*OLD.values(), "musllinux_1_1", "musllinux_1_2") for machine in MACHINES]
ANY += [f"manylinux_2_{m}_{machine}" for m in (5, 17, 28, 31, 35, 39) for machine in MACHINES]
PYTHONS = ["py3", "py2.py3", "py310", "py313", "cp310", "cp311", "cp312", "cp313", "cp37", "cp311.cp312"]


@pytest.mark.parametrize("facts", BOARDS.values(), ids=BOARDS)
@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(PYTHONS),
    st.sampled_from(["none", "abi3", "cp310", "cp311", "cp312", "cp313", "abi3.cp311"]),
    st.lists(st.sampled_from(ANY), min_size=1, max_size=3, unique=True),
)
def test_wheels_are_judged_for_each_board_as_pip_would_there(
    facts: Facts, python: str, abi: str, where: list[str]
) -> None:
    name = f"x-1.0-{python}-{abi}-{'.'.join(where)}.whl"
    own = f"cp{facts.python[0]}{facts.python[1]}"
    runs = platforms(facts)
    known = {*cpython_tags(facts.python, [own], runs), *compatible_tags(facts.python, own, runs)}
    assert (tags.problem(name, facts) == "") == bool(parse_wheel_filename(name)[3] & known), name


def test_another_interpreter_runs_no_wheel_of_cpython() -> None:
    pypy = replace(PI5, implementation="pypy", python=(3, 10))
    told = tags.problem("numpy-2.2.0-cp310-cp310-manylinux2014_aarch64.whl", pypy)
    assert told == "is for cp310-cp310; the board has pypy 3.10"
    assert tags.problem("click-8-py3-none-any.whl", pypy) == ""


@pytest.mark.parametrize("name", ["", ".whl", "a-1-py3-none.whl", "a-1-2-3-py3-none-any-x.whl", "a-1-py3-none-any.zip"])
def test_what_is_no_wheels_name_is_told_as_such(name: str) -> None:
    assert tags.problem(name, PI5).startswith("is no name of a wheel: NAME-VERSION-PYTHON-ABI-PLATFORM.whl")


def test_a_build_number_changes_nothing() -> None:
    assert tags.problem("a-1-1local-py3-none-any.whl", PI5) == ""
