"""``edgekit bench`` as it is typed: what it prints, writes, refuses, and how it exits."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import tiny_bundle as tiny
from cli_runner import fails, run
from edgekit.benchmarks import cli_output
from edgekit.benchmarks.cli_asked import Asked
from edgekit.benchmarks.cli_words import uncovered, words
from edgekit.benchmarks.results import files

CHOSEN = ("--variant", "fp32", "--runtime", "onnxruntime", "--device", "cpu", "--threads", "1")
SHORT = ("--seconds", "0.3", *CHOSEN)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_json_is_the_one_result_and_nothing_else(tiny_bundle: Path) -> None:
    code = "from edgekit.cli.main import main; main()"
    typed = ["bench", str(tiny_bundle), "--pipeline", "text", *SHORT, "--json"]
    found = subprocess.run([sys.executable, "-c", code, *typed], capture_output=True, check=True)
    assert found.stderr == b""
    plain = json.loads(found.stdout)
    assert {"p50", "p90", "p99", "energy", "memory", "verdict", "reasons"} <= set(plain)
    (result,) = files.loads(found.stdout, "stdout")
    assert (result.plan.pipeline, result.verdict) == ("text", "INVALID")
    assert result.command.startswith(f"edgekit bench {shlex.quote(str(tiny_bundle))} --pipeline text")


def test_the_summary_tells_verdict_reasons_and_the_command(tiny_bundle: Path) -> None:
    found = run("bench", tiny_bundle, "--pipeline", "text", *SHORT)
    assert "INVALID" in found.stdout
    assert "at least 60 s are needed" in found.stdout
    assert "p99" in found.stdout
    assert "edgekit bench" in found.stdout
    assert found.stderr == ""


def test_a_sweep_gives_one_file_each_one_table_and_every_report(tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    reports = [tmp_path / f"report.{suffix}" for suffix in ("html", "md", "csv")]
    typed = [part for report in reports for part in ("--report", report)]
    found = run("bench", tiny_bundle, "--pipeline", "text", *SHORT, "--batch", "1,2,1", "-o", out, *typed)
    results = files.read_all(out)
    assert [result.plan.batch for result in results] == [1, 2]
    assert [path.stem for path in sorted(out.iterdir())] == [result.id for result in results]
    assert "batch 2" in found.stdout
    assert "INVALID  every run: the measured part took" in found.stdout
    assert "<html" in reports[0].read_text()
    assert "batch 2" in reports[1].read_text()
    assert len(list(csv.reader(reports[2].open()))) == 3


def test_several_results_in_one_file_and_require_valid(tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.json"
    typed = ("--pipeline", "text", "--scenario", "offline", "--streams", "1,2", *SHORT)
    found = run("bench", tiny_bundle, *typed, "-o", out, "--json", "--require-valid", code=1)
    assert set(json.loads(found.stdout)) == {"results"}
    assert out.read_text() == found.stdout
    assert [result.plan.streams for result in files.read_all(out)] == [1, 2]


def test_labels_from_a_file_and_wrong_numbers(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\n\nred bicycle\n")
    bundle = tiny.build(tmp_path / "wrong.edge", variants=("wrong",))
    typed = ("--labels", labels, "--seconds", "0.3", "--json")
    (result,) = files.loads(run("bench", bundle, *typed).stdout, "stdout")
    assert result.plan.labels == 2
    assert f"--labels {labels}" in result.command
    assert result.reasons[0].startswith("golden check before the measured part: image tower")


def test_every_variant_that_opens_here(tmp_path: Path) -> None:
    bundle = tiny.build(tmp_path / "three.edge", variants=("fp32", "wrong", "malformed"))
    typed = ("--all", "--pipeline", "image", "--seconds", "0.3", "--threads", "1")
    found = run("bench", bundle, *typed, "-o", tmp_path / "out.json", "--report", tmp_path / "r.html")
    results = files.read_all(tmp_path / "out.json")
    assert [result.subject.variant for result in results] == ["fp32", "wrong"]
    assert "not measured: malformed" in found.stderr
    assert (tmp_path / "r.html").stat().st_size > 10_000


def test_side_by_side_with_another_bundle(tiny_bundle: Path, tmp_path: Path) -> None:
    other = tiny.build(tmp_path / "other.edge", seed=3)
    typed = ("--vs", other, "--pipeline", "image", "--seconds", "1", "--threads", "1")
    found = run("bench", tiny_bundle, *typed, "-o", tmp_path / "out", "--report", tmp_path / "r.html")
    plain = json.loads((tmp_path / "out" / "versus.json").read_text())
    assert [side["name"] for side in (plain["subject"], *plain["others"])] == ["tiny", "other"]
    assert plain["comparisons"][0]["ratio"]["value"] > 0
    assert plain["command"] == (f"edgekit bench {tiny_bundle} --pipeline image --seconds 1 --threads 1 --vs {other}")
    assert "times as long" in found.stdout
    assert (tmp_path / "r.html").stat().st_size > 10_000


def test_a_profile_is_printed_and_in_the_result(tiny_bundle: Path, tmp_path: Path) -> None:
    typed = ("--pipeline", "image", "--profile", *SHORT, "-o", tmp_path / "x.json")
    found = run("bench", tiny_bundle, *typed)
    result = files.read(tmp_path / "x.json")
    assert bool(result.profiles) == ("under the profiler of onnxruntime" in found.stdout)
    assert bool(result.profiles) != ("no profile of the image tower" in found.stderr)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("--quick", "--publish"), "--quick and --publish each say how long"),
        (("--seconds", "5", "--soak", "1"), "--soak and --seconds each say how long"),
        (("--soak", "0"), "--soak 0: give minutes"),
        (("--seconds", "-1"), "seconds -1"),
        (("--batch", "1,x"), "give whole numbers with commas"),
        (("--batch", "0"), "give numbers of 1 or more"),
        (("--threads", "-1"), "give numbers of 0 or more"),
        (("--scenario", "server"), "--scenario server needs --target-qps"),
        (("--target-qps", "5"), "belongs to --scenario server"),
        (("--streams", "2"), "single-stream has one"),
        (("--all", "--vs", "b.edge"), "give one of them"),
        (("--all", "--batch", "1,2"), "--all takes one number each"),
        (("--vs", "b.edge", "--scenario", "offline"), "--scenario does not go with --vs"),
        (("--vs", "b.edge", "--report", "x.md"), ".html report only"),
        (("--vs-peer", "caffe"), "there is no peer 'caffe'"),
        (("--on", "ssh://a", "--fleet", "f.yaml"), "both name boards"),
        (("--on", "ssh://a", "--vs-runtime", "litert"), "log in to the board"),
        (("--on-python", "/x"), "go with --on"),
        (("--on-keep",), "goes with --on"),
        (("--report", "x.pdf"), "must end in .html, .md, .csv"),
        (("--report", "none/x.md"), "the folder none does not exist"),
        (("-o", "none/x.json"), "the folder none does not exist"),
        (("--option", "x"), "write it as NAME=VALUE"),
        (("--labels", "none.txt"), "none.txt: cannot be read"),
        (("--meter", "sundial"), "there is no meter 'sundial'"),
        (("--variant", "int3"), "has no variant 'int3'"),
        (("--pipeline", "sound"), "'sound' is not one of"),
        (("--data", "none"), "none"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tiny_bundle: Path, typed: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in fails("bench", tiny_bundle, *typed)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_refused_at_once(tiny_bundle: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "cannot write into" in fails("bench", tiny_bundle, "-o", tmp_path / "x.json")


def test_an_output_that_cannot_be_a_folder_is_refused_at_once(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "the folder" in fails("bench", tiny_bundle, "-o", tmp_path / "file" / "x.json")
    assert "is no folder" in fails("bench", tiny_bundle, "-o", tmp_path / "file")
    assert "is a folder" in fails("bench", tiny_bundle, "--report", _folder(tmp_path / "r.html"))


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_disk_that_is_full_costs_the_file_and_not_the_result(tiny_bundle: Path, tmp_path: Path) -> None:
    """A file may have 200 bytes here: whatever is larger fails as on a full disk, in the middle of the writing."""
    out = tmp_path / "x.json"
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from edgekit.benchmarks.results import files\n"
        "from edgekit.benchmarks import cli_output\n"
        "keep = cli_output.keep\n"
        "def limited(*arguments):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY)); keep(*arguments)\n"
        "cli_output.keep = limited\n"
        "from edgekit.cli.main import main; main()"
    )
    typed = ["bench", str(tiny_bundle), "--pipeline", "text", *SHORT, "--json", "-o", str(out)]
    found = subprocess.run([sys.executable, "-c", code, *typed], capture_output=True)
    assert found.returncode == 1
    assert files.loads(found.stdout, "stdout")[0].plan.pipeline == "text"
    assert f"failed: -o {out}: ".encode() in found.stderr
    assert b"Traceback" not in found.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_report_needs_its_library_before_anything_is_measured(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_output, "find_spec", lambda name: None)
    assert "pip install 'edgekit[bench]'" in fails("bench", tiny_bundle, "--report", tmp_path / "r.html", code=1)


def test_a_terminal_sees_the_phases(tiny_bundle: Path) -> None:
    pytest.importorskip("rich")
    parent, terminal = os.openpty()
    code = "from edgekit.cli.main import main; main()"
    typed = ["bench", str(tiny_bundle), "--pipeline", "text", *SHORT, "--json"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *typed],
        stdout=subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm"},
    ) as bench:
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # Linux tells the end of a terminal by an error
            while chunk := os.read(parent, 1 << 16):
                shown += chunk
        assert bench.stdout is not None
        files.loads(bench.stdout.read(), "stdout")
    os.close(parent)
    for phase in ("load", "warm", "measure", "check"):
        assert phase.encode() in shown


def test_ctrl_c_in_a_sweep_ends_all_and_keeps_what_was_done(tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = "from edgekit.cli.main import main; main()"
    typed = ["bench", str(tiny_bundle), "--pipeline", "text", *CHOSEN, "--seconds", "0.3", "--queries", "2"]
    typed += ["--scenario", "offline", "--batch", "1,2,3,4,5,6,7,8", "-o", str(out)]
    with subprocess.Popen(
        [sys.executable, "-c", code, *typed], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as bench:
        end = time.monotonic() + 120
        while not (out.is_dir() and list(out.glob("*.json"))) and time.monotonic() < end:
            time.sleep(0.02)
        bench.send_signal(signal.SIGINT)
        stdout, stderr = bench.communicate()
    assert bench.returncode == 130
    assert b"Aborted" in stderr
    assert b"Traceback" not in stderr
    kept = files.read_all(out)
    assert 1 <= len(kept) < 8
    # What is kept is printed, too: one run in full, several in a table.
    assert stdout.startswith(b"tiny") if len(kept) == 1 else stdout.count(b"\n") > len(kept)
    assert all(path.suffix == ".json" and not path.name.startswith(".") for path in out.iterdir())


def test_the_help_names_every_option_that_the_issue_asks_for() -> None:
    text = run("bench", "--help").stdout
    for option in (
        *("--scenario", "--pipeline", "--quick", "--publish", "--soak", "--batch", "--threads", "--streams", "--vs"),
        *("--vs-runtime", "--vs-peer", "--all", "--profile", "--roofline", "--meter", "--on", "--fleet", "--report"),
        *("--json", "--sustained", "--target-qps", "--latency-bound", "--generator", "--labels", "--data"),
    ):
        assert option in text


def asked(**changes: Any) -> Asked:
    plain: dict[str, Any] = {
        "bundle": "starter",
        "scenario": "single-stream",
        "pipeline": "photo",
        "generator": "edgekit",
        "quick": False,
        "publish": False,
        "soak": None,
        "seconds": None,
        "queries": 0,
        "sustained": False,
        "batch": (1,),
        "threads": (),
        "streams": (1,),
        "target_qps": 0.0,
        "latency_bound": 0.0,
        "data": None,
        "labels": None,
        "variant": None,
        "runtime": None,
        "device": "auto",
        "engine_options": (),
        "meters": (),
        "everything": False,
        "vs": (),
        "vs_runtime": (),
        "vs_peer": (),
        "profile": False,
        "roofline": False,
        "hosts": (),
        "fleet": None,
        "on_python": "",
        "on_wheels": None,
        "on_keep": False,
        "on_patience": 300.0,
        "output": None,
        "reports": (),
        "as_json": False,
        "require_valid": False,
    }
    return Asked(**{**plain, **changes})


def test_every_option_has_its_word_and_defaults_have_none() -> None:
    assert uncovered() == frozenset()
    assert words(asked()) == ()
    assert words(asked(hosts=("ssh://a",), as_json=True, output=Path("x"), reports=(Path("y.md"),))) == ()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"quick": True, "everything": True}, ("--quick", "--all")),
        ({"seconds": 7.5, "pipeline": "text"}, ("--pipeline", "text", "--seconds", "7.5")),
        ({"seconds": 1 / 3}, ("--seconds", repr(1 / 3))),
        ({"soak": 30.0, "queries": 9}, ("--soak", "30", "--queries", "9")),
        ({"batch": (1, 4), "threads": (0, 2)}, ("--batch", "1,4", "--threads", "0,2")),
        ({"data": Path("photos"), "labels": Path("l.txt")}, ("--data", Path("photos"), "--labels", Path("l.txt"))),
        ({"engine_options": ("a=1", "b=2")}, ("--option", "a=1", "--option", "b=2")),
        ({"device": "cuda", "meters": ("nvml",)}, ("--device", "cuda", "--meter", "nvml")),
    ],
)
def test_words_for_a_board(changes: dict[str, Any], expected: tuple[object, ...]) -> None:
    assert words(asked(**changes)) == expected


@pytest.fixture
def boards(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Boards that answer at once: what was asked of them, and results as `edgekit.benchmarks.remote` brings them."""
    import bench_results
    from edgekit.benchmarks.remote import run_on
    from edgekit.benchmarks.remote.records import Outcome

    calls: list[Any] = []

    def answer(boards: Any, bundle: Path, arguments: Any, output: Path, settings: Any, on_event: Any) -> Any:
        calls.append((boards, bundle, arguments, settings))
        output.mkdir(parents=True, exist_ok=True)
        found = []
        for board in boards:
            if board.name == "gone":
                found.append(Outcome("gone", str(board.address), "lost", "the link stayed away; look at the cable"))
                continue
            path = files.write(output / f"{board.name}.json", bench_results.result("pi5"))
            found.append(Outcome(board.name, str(board.address), "done", "", (path,), ("VALID",), ("clock is off",)))
        return tuple(found)

    monkeypatch.setattr(run_on, "run_on", answer)
    return calls


def test_boards_give_their_results_here(tiny_bundle: Path, tmp_path: Path, boards: list[Any]) -> None:
    out = tmp_path / "fleet"
    typed = ("--on", "ssh://pi@one", "--on", "ssh://two:22", "--publish", "--threads", "2", "-o", out)
    found = run("bench", tiny_bundle, *typed, "--report", tmp_path / "r.md")
    assert len(files.read_all(out)) == 2
    assert [board.name for board in boards[0][0]] == ["one", "two"]
    assert boards[0][2] == ("--publish", "--threads", "2")
    assert "one: note: clock is off" in found.stderr
    assert (tmp_path / "r.md").exists()


def test_a_board_that_is_lost_costs_only_its_own_result(tiny_bundle: Path, tmp_path: Path, boards: list[Any]) -> None:
    typed = ("--on", "ssh://one", "--on", "ssh://gone", "--json", "-o", tmp_path / "x.json")
    found = run("bench", tiny_bundle, *typed, code=1)
    assert json.loads(found.stdout)["subject"]["bundle"] == "vit-b-32"
    assert len(files.read_all(tmp_path / "x.json")) == 1
    assert "gone: lost: the link stayed away" in found.stderr


def test_a_bundle_that_is_none_is_refused_before_any_board_is_asked(tmp_path: Path, boards: list[Any]) -> None:
    assert "none.edge" in fails("bench", tmp_path / "none.edge", "--on", "ssh://one")
    assert boards == []
