"""Files of a kernel that hold anything: readers give what they can, or nothing; none of them ends a run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgekit.benchmarks.device import identity, load, state
from edgekit.benchmarks.meters import registry, sysfs
from kernel_tree import put

STAT = "{pid} ({name}) S {parent} 1 1 0 -1 0 0 0 0 0 {user} {system} {children} 0 20 0 1 0 5"
ANYTHING = st.binary(max_size=60) | st.sampled_from(
    [b"", b"\0", b"9" * 400, b"-1", b"1e9", b"NaN", b"\xff\xfe", b"0x10", b"1 2", b" 7 \n", "٣".encode(), b"cpu", b")"]
)
quick = settings(deadline=None, max_examples=40)


def write(root: Path, path: str, content: bytes) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content)


@quick
@given(ANYTHING)
@example(b"9" * 400)
@example(b"9" * 5000)
def test_a_file_is_a_finite_number_or_nothing(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "value"
        path.write_bytes(content)
        found = sysfs.number(path)
        assert found is None or abs(found) < float("inf")


@pytest.mark.parametrize(
    ("content", "value"),
    [(b"7\n", 7.0), (b" -7 \0", -7.0), (b"+7", 7.0), (b"7.0", None), (b"7 8", None), (b"", None), (b"0x7", None)],
)
def test_numbers_as_the_kernel_writes_them(tmp_path: Path, content: bytes, value: float | None) -> None:
    write(tmp_path, "x", content)
    assert sysfs.number(tmp_path / "x") == value


def test_what_is_no_file_is_nothing(tmp_path: Path) -> None:
    assert sysfs.number(tmp_path) is None
    assert sysfs.text(tmp_path / "none") is None
    # Its first page is not mapped: reading it is an error of the kernel's own.
    assert sysfs.text(Path("/proc/self/mem")) is None
    assert sysfs.entries(tmp_path / "none", "*") == ()


@given(st.text("0123456789-, \n\tx", max_size=20))
@example("0-99999999999")
@example("5-1")
@example("-3")
@example("0-3,0-3")
def test_a_list_of_processors_is_short_whatever_it_says(spec: str) -> None:
    found = sysfs.listed(spec)
    assert len(found) <= 1 << 17
    assert all(number >= 0 for number in found)


@pytest.mark.parametrize(
    ("spec", "found"),
    [("0-3,6", (0, 1, 2, 3, 6)), ("0 1 2", (0, 1, 2)), ("", ()), ("0-3,x", ()), ("7", (7,)), ("2-2", (2,))],
)
def test_lists_as_the_kernel_writes_them(spec: str, found: tuple[int, ...]) -> None:
    assert sysfs.listed(spec) == found


def test_the_order_of_entries_is_that_of_people(tmp_path: Path) -> None:
    for name in ("hwmon10", "hwmon2", "hwmon1"):
        (tmp_path / name).mkdir()
    assert [path.name for path in sysfs.entries(tmp_path, "hwmon*")] == ["hwmon1", "hwmon2", "hwmon10"]


IDENTITY = (
    *("proc/sys/kernel/hostname", "proc/device-tree/model", "proc/device-tree/compatible", "proc/cpuinfo"),
    *("proc/meminfo", "etc/os-release", "sys/devices/soc0/family", "sys/class/dmi/id/product_name"),
    *(
        "sys/firmware/acpi/platform_profile",
        "var/lib/nvpmodel/status",
        "etc/nvpmodel.conf",
        "proc/sys/kernel/osrelease",
    ),
    *("sys/hypervisor/type", "sys/devices/system/cpu/online", "sys/devices/cpu_core/cpus", "proc/version"),
)


@quick
@given(st.lists(st.tuples(st.sampled_from(IDENTITY), ANYTHING), max_size=8))
def test_any_files_give_an_identity_and_a_state(files: list[tuple[str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path, content in files:
            write(root, path, content)
        found = identity.identify(root)
        assert found.memory >= 0
        assert found.cores >= 1
        assert found.architecture
        read = state.read(root, 0.0)
        assert read.memory_free >= 0


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("MemTotal: 2048 kB\nMemAvailable:    1024 kB\n", {"MemTotal": 2, "MemAvailable": 1}),
        ("MemTotal: 1023 kB", {"MemTotal": 0}),
        ("MemTotal: -5 kB\nMemFree: much\nHugePages", {}),
        ("MemTotal 2048 kB", {}),
        ("", {}),
    ],
)
def test_figures_of_memory(tmp_path: Path, text: str, found: dict[str, int]) -> None:
    write(tmp_path, "proc/meminfo", text.encode())
    assert identity.memory(tmp_path) == found


def tree(root: Path, **changes: object) -> None:
    """Process 10 with a child 11 and a grandchild 12, and a stranger 20; 100 ticks are busy."""
    put(root, {"proc/stat": "cpu  40 10 20 900 5 10 10 10 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0"})
    for pid, parent, name in ((10, 1, "py thon"), (11, 10, "a) b"), (12, 11, "((("), (20, 1, "other")):
        values = {"pid": pid, "parent": parent, "name": name, "user": 3, "system": 2, "children": "1 1", **changes}
        put(root, {f"proc/{pid}/stat": STAT.format(**values)})


def seconds(ticks: int) -> float:
    return ticks / os.sysconf("SC_CLK_TCK")


def test_names_with_parentheses_and_spaces_do_not_shift_the_fields(tmp_path: Path) -> None:
    tree(tmp_path)
    found = load.cpu_time(tmp_path, 10)
    assert found is not None
    # user, nice, system, irq, softirq and steal are busy; idle and waiting for a disk are not.
    assert found.busy == pytest.approx(seconds(40 + 10 + 20 + 10 + 10 + 10))
    assert found.own == pytest.approx(seconds(3 * (3 + 2 + 1 + 1)))


def test_lists_of_children_are_walked_where_the_kernel_has_them(tmp_path: Path) -> None:
    tree(tmp_path)
    for pid, children in ((10, "11 "), (11, "12 "), (12, "")):
        put(tmp_path, {f"proc/{pid}/task/{pid}/children": children})
    # A child that ended between its parent's list and its own file: its time is its parent's by now.
    put(tmp_path, {"proc/11/task/11/children": "12 4711"})
    found = load.cpu_time(tmp_path, 10)
    assert found is not None
    assert found.own == pytest.approx(seconds(3 * 7))


def test_processes_that_list_each_other_as_children_are_counted_once(tmp_path: Path) -> None:
    tree(tmp_path)
    for pid, children in ((10, "11"), (11, "12 10"), (12, "11 12")):
        put(tmp_path, {f"proc/{pid}/task/{pid}/children": children})
    found = load.cpu_time(tmp_path, 10)
    assert found is not None
    assert found.own == pytest.approx(seconds(3 * 7))


def test_processes_that_name_each_other_as_parents_end_the_walk(tmp_path: Path) -> None:
    tree(tmp_path)
    for pid, parent in ((11, 12), (12, 11)):
        text = STAT.format(pid=pid, parent=parent, name="x", user=1, system=1, children="0 0")
        put(tmp_path, {f"proc/{pid}/stat": text})
    found = load.cpu_time(tmp_path, 10)
    assert found is not None
    assert found.own == pytest.approx(seconds(7))


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("proc/11/stat", b"11 (x) S ten 1 1 0 -1 0 0 0 0 0 a b c d 20"),
        ("proc/11/stat", b"11 (x) S"),
        ("proc/11/stat", b"\xff\xff"),
        ("proc/11/stat", b"11 x S 10 1 1 0 -1 0 0 0 0 0 1 1 1 1 20"),
        ("proc/10/task/10/children", b"eleven 12"),
        ("proc/10/task/10/children", b"-1 99999999999999"),
        ("proc/20/stat", b"20 (y) R x x x x x x x x x x x x x x"),
    ],
)
def test_a_process_whose_files_cannot_be_read_is_left_out(tmp_path: Path, path: str, content: bytes) -> None:
    tree(tmp_path)
    write(tmp_path, path, content)
    found = load.cpu_time(tmp_path, 10)
    assert found is not None
    assert seconds(7) <= found.own <= seconds(21)


@quick
@given(st.sampled_from(["proc/stat", "proc/10/stat", "proc/11/stat", "proc/10/task/10/children"]), ANYTHING)
def test_no_content_ends_the_reading_of_load(path: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree(Path(folder))
        write(Path(folder), path, content)
        found = load.cpu_time(Path(folder), 10)
        assert found is None or (found.busy >= 0 and found.own >= 0)


@pytest.mark.parametrize("head", ["", "cpu", "cpu ", "cpu  a b c", "cpus 1 2 3", "intr 5", "cpu0 1 2 3 4", "cpu 1.5 2"])
def test_a_system_that_tells_no_busy_time_is_not_measured(tmp_path: Path, head: str) -> None:
    put(tmp_path, {"proc/stat": head})
    assert load.cpu_time(tmp_path) is None
    assert load.measure(0.0, tmp_path) is None


def test_an_old_kernel_with_fewer_columns_is_read(tmp_path: Path) -> None:
    put(tmp_path, {"proc/stat": "cpu 10 20 30 40"})
    found = load.cpu_time(tmp_path)
    assert found is not None
    assert found.busy == pytest.approx(seconds(60))


@pytest.mark.parametrize(
    ("first", "last", "others"),
    [
        (None, load.CpuTime(1, 1, 1), None),
        (load.CpuTime(1, 1, 1), None, None),
        (load.CpuTime(2.0, 0, 0), load.CpuTime(2.0, 9, 0), None),
        (load.CpuTime(2.0, 0, 0), load.CpuTime(1.0, 9, 0), None),
        (load.CpuTime(1.0, 10, 5), load.CpuTime(3.0, 16, 7), 2.0),
        # The kernel's ticks may give us more than all together; others never took less than nothing.
        (load.CpuTime(1.0, 10, 5), load.CpuTime(2.0, 10.5, 6), 0.0),
    ],
)
def test_what_others_took(first: load.CpuTime | None, last: load.CpuTime | None, others: float | None) -> None:
    assert load.other(first, last) == others


SYSTEM = (
    *("sys/class/hwmon/hwmon0/name", "sys/class/hwmon/hwmon0/in1_input", "sys/class/hwmon/hwmon0/in1_label"),
    *(
        "sys/class/hwmon/hwmon0/curr1_input",
        "sys/class/hwmon/hwmon0/power1_input",
        "sys/class/hwmon/hwmon0/temp1_input",
    ),
    *("sys/class/thermal/thermal_zone0/type", "sys/class/thermal/thermal_zone0/temp"),
    *(
        "sys/class/power_supply/BAT0/type",
        "sys/class/power_supply/BAT0/status",
        "sys/class/power_supply/BAT0/power_now",
    ),
    *("sys/class/powercap/intel-rapl:0/name", "sys/class/powercap/intel-rapl:0/energy_uj"),
    *("sys/class/powercap/intel-rapl:0/max_energy_range_uj", "sys/class/devfreq/gpu/cur_freq"),
    *("sys/class/devfreq/gpu/load", "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq"),
    *("sys/devices/system/cpu/cpufreq/policy0/affected_cpus", "sys/kernel/debug/rknpu/load"),
)
GOOD: dict[str, Callable[[], bytes]] = {"sys/class/hwmon/hwmon0/name": lambda: b"ina3221"}


@quick
@given(st.lists(st.tuples(st.sampled_from(SYSTEM), ANYTHING), max_size=10))
def test_meters_of_any_files_are_there_or_say_why_and_read_finite_numbers(files: list[tuple[str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path, content in files:
            write(root, path, content)
        for path, good in GOOD.items():
            write(root, path, good())
        meters, absent = registry.look(root)
        assert all(one.reason for one in absent)
        for meter in meters:
            names = {channel.name for channel in meter.channels()}
            values = meter.read()
            assert set(values) <= names
            assert all(abs(value) < float("inf") for value in values.values())
