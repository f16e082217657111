"""`edgekit bench` itself on boards: from the command line, offline from wheels, and on an emulated AArch64 board."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cli_runner
import remote_stand_in as stand_in
import repacked
import ssh_farm
from edgekit.benchmarks.remote.records import Board
from edgekit.benchmarks.results import files

SHORT = ("--pipeline", "text", "--seconds", "1")
EMULATED = Path(__file__).parents[3] / ".cache" / "aarch64"


@pytest.fixture
def own_client(tmp_path, monkeypatch):
    """Let the command line use a client configuration of the test's: it takes the first ``ssh`` in the search path."""

    def use(*hosts):
        command = ssh_farm.shared_config(list(hosts), tmp_path / "ssh_config")
        found = subprocess.run(
            ["sh", "-c", "command -v ssh"], capture_output=True, text=True, check=True
        ).stdout.strip()
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "ssh").write_text(f'#!/bin/sh\nexec {found} {" ".join(command[1:])} "$@"\n')
        (folder / "ssh").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return use


def test_a_fleet_gives_one_report(make_host, own_client, tiny_bundle, tmp_path):
    hosts = [make_host(), make_host()]
    own_client(*hosts)
    fleet = tmp_path / "boards.yaml"
    boards = [
        f"  - {{name: b{i}, ssh: 'ssh://root@{one.ip}', python: {sys.executable}}}" for i, one in enumerate(hosts)
    ]
    fleet.write_text("\n".join(["boards:", *boards, f"  - {{name: gone, ssh: 'ssh://root@{hosts[0].ip}:9'}}", ""]))
    output, report = tmp_path / "out", tmp_path / "fleet.html"
    words = ("bench", tiny_bundle, *SHORT, "--fleet", fleet, "-o", output, "--report", report, "--json")
    found = cli_runner.run(*words, code=1)
    assert "gone: unreachable: " in found.stderr
    results = json.loads(found.stdout)["results"]
    assert len(results) == 2
    assert {path.name for path in output.iterdir()} == {
        *("b0.json", "b1.json", "b0.log", "b1.log", "gone.log", "outcomes.jsonl")
    }
    assert {files.read(output / f"b{i}.json").subject.bundle for i in range(2)} == {results[0]["subject"]["bundle"]}
    assert report.read_text().count("<html") == 1
    assert [list(one.home.iterdir()) for one in hosts] == [[], []]


def test_a_new_environment_is_installed_from_wheels_alone(host, tiny_bundle, tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in ("click", "ftfy", "numpy", "pillow", "tokenizers", "onnxruntime"):
        repacked.stub(name, "99.0", wheels)
    board = Board("board", host.address(), sys.executable, "new", wheels, ("onnx",))
    found = stand_in.one(host, tiny_bundle, tmp_path / "out", SHORT, stand_in.quick(host.ssh), board)
    # The interpreter of the new environment found this edgekit, and the first of the packages that came with it.
    assert found.ending == "failed"
    assert "ImportError: click is a stub" in found.reason
    assert list(host.home.iterdir()) == []


@pytest.mark.skipif(not os.environ.get("EDGEKIT_TEST_WHEELS"), reason="takes a minute: EDGEKIT_TEST_WHEELS=1 runs it")
def test_a_board_without_a_network_gets_everything_from_wheels(host, tiny_bundle, tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in sorted(repacked.closure("edgekit", "onnx")):
        repacked.repack(name, wheels)
    (wheels / "onnxruntime-1.21.0-cp311-cp311-manylinux_2_28_s390x.whl").write_bytes(b"for another board")
    board = Board("board", host.address(), sys.executable, "new", wheels, ("onnx",))
    found = stand_in.one(host, tiny_bundle, tmp_path / "out", SHORT, stand_in.quick(host.ssh), board)
    assert found.ending == "done", (tmp_path / "out" / "board.log").read_text()
    result = files.read(found.results[0])
    assert result.context.packages["onnxruntime"]
    assert list(host.home.iterdir()) == []
    next(wheels.glob("numpy-*.whl")).unlink()
    lacking = stand_in.one(host, tiny_bundle, tmp_path / "out", SHORT, stand_in.quick(host.ssh), board)
    assert lacking.ending == "failed"
    assert "the environment could not be made there" in lacking.reason
    assert "numpy" in (tmp_path / "out" / "board.log").read_text()
    assert "--on-wheels): pip download" in lacking.reason


def test_an_emulated_board_of_another_architecture(host, own_client, tmp_path):
    if not (EMULATED / ".ok").exists():
        pytest.skip("no emulated AArch64 board (sh .ci/aarch64)")
    own_client(host)
    words = (
        "--pipeline",
        "text",
        "--seconds",
        "2",
        "--on",
        f"ssh://root@{host.ip}",
        "--on-python",
        EMULATED / "python",
    )
    found = cli_runner.run("bench", "starter", *words, "-o", tmp_path / "pi.json", "--json")
    result = files.read(tmp_path / "pi.json")
    assert json.loads(found.stdout)["id"] == result.id
    assert (result.context.device.architecture, result.subject.bundle) == ("aarch64", "starter")
    assert "asimddp" in result.context.device.features
    assert result.accuracy.before.passed
    assert result.accuracy.after.passed
    assert list(host.home.iterdir()) == []
