"""Digests, archives, SSH's messages, log lines with events, and programs for boards."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from edgekit.benchmarks.remote import payload, scripts, telling, work
from edgekit.benchmarks.remote.diary import Diary
from edgekit.benchmarks.remote.environment import Environment
from edgekit.benchmarks.remote.records import Address, Board, Settings
from edgekit.benchmarks.remote.ssh_errors import BoardError, LinkDownError, ScriptError, explain
from edgekit.benchmarks.running.events import Note, Phase, Sample, Tick, from_line
from edgekit.errors import InputError, MissingDependencyError


def test_files_and_folders_among_arguments_are_sent(tmp_path):
    photos = tmp_path / "ph'otos"
    (photos / "inner").mkdir(parents=True)
    (photos / "inner" / "a.jpg").write_bytes(b"1")
    labels = tmp_path / ".labels.txt"
    labels.write_text("x")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    words, sent = payload.of_arguments(["--data", photos, "--labels", labels], scratch)
    assert words == ("--data", "inputs/0/photos", "--labels", "inputs/1/labels.txt")
    assert [(p.name, p.folder) for p in sent] == [("inputs/0/photos", True), ("inputs/1/labels.txt", False)]
    with tarfile.open(sent[0].path) as archive:
        assert archive.getnames() == ["inner/a.jpg"]
        assert archive.getmembers()[0].mtime == 0
    digest = sent[0].digest
    (photos / "inner" / "a.jpg").touch()
    assert payload.of_arguments([photos], scratch)[1][0].digest == digest
    assert sent[1].size == 1


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_what_cannot_be_sent_is_named(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        payload.of_arguments([tmp_path / name], tmp_path)


def test_arguments_with_control_characters_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"'a\\nb': an argument for a board"):
        payload.of_arguments(["a\nb"], tmp_path)


@pytest.mark.parametrize("name", ["-rf", "...", "'; rm", "ü", "x" * 300])
def test_plain_names_are_harmless(name):
    found = payload.plain_name(Path("/d") / name)
    assert found
    assert len(found) <= 64
    assert found[0] not in "-."
    assert not set(found) & set(" ;'\"$/")


PI = Address("pi", "pi5", 2222)


@pytest.mark.parametrize(
    ("message", "kind", "told"),
    [
        (
            "No ED25519 host key is known for x and you have requested strict checking.",
            BoardError,
            "ssh -p 2222 pi@pi5",
        ),
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @", BoardError, "ssh-keygen -R '[pi5]:2222'"),
        ("pi@pi5: Permission denied (publickey).", BoardError, "ssh-copy-id -p 2222 pi@pi5"),
        ("x: line 3: Bad configuration option: foo", BoardError, "SSH's own configuration cannot be used"),
        ("ssh: Could not resolve hostname pi5: Name or service not known", LinkDownError, "cannot be resolved"),
        ("ssh: connect to host pi5 port 2222: Connection refused", LinkDownError, "Connection refused"),
        ("", LinkDownError, "ended without a word"),
    ],
)
def test_messages_of_ssh_are_explained(message, kind, told):
    found = explain(message, PI)
    assert isinstance(found, kind)
    assert told in str(found)


def test_errors_of_scripts_tell_their_last_line():
    assert str(ScriptError(3, b"", "one\ntwo\n\n")) == "two"
    assert "exit code 3" in str(ScriptError(3, b"", ""))
    assert ScriptError(1, b"", "cat: write error: No space left on device").full_disk


def test_events_cross_as_lines(tmp_path):
    stream = io.StringIO()
    tell = telling.teller(stream)
    sent = [Phase("load"), Tick(0.1, 1.0, 3), Tick(0.2, 1.0, 4), Sample("t", 1.0, "°C"), Note("hot")]
    for event in sent:
        tell(event)
    lines = stream.getvalue().splitlines()
    assert [from_line(line) for line in lines] == [sent[0], sent[1], sent[4]]
    got = []
    diary = Diary("b", tmp_path / "b.log", got.append)
    diary.step = "run"
    text = f'warning: odd\n{lines[0]}\n{{"event": "nonsense"}}\n\x1b[31mlast\n'.encode()
    for i in range(0, len(text), 7):
        diary.printed(text[i : i + 7])
    diary.close()
    assert [event.bench for event in got] == [Phase("load")]
    assert diary.last_line == "[31mlast"
    log = (tmp_path / "b.log").read_text()
    assert "warning: odd" in log
    assert "nonsense" in log
    assert "\x1b" not in log


def test_programs_quote_every_word(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"1")
    sent = payload.of_file(file, "bundle/f.edge")
    task = work.Work(sent, sent, (), ("--option", "a'b $(id)"))
    board = Board("b", PI, env=(("A", "x 'y'"),), meters=("rapl",))
    plan = Environment("/p", "", "/p/bin/python", "/p", 0)
    text = work.program(task, board, plan, "/base", "abc")
    check = (
        text.replace("/p/bin/python", "printf '%s|'").replace(">/dev/null 2>run.log </dev/null", "")
        + '\nprintf %s "$A"\n'
    )
    done = subprocess.run(["sh", "-c", check], capture_output=True, text=True, check=True)
    words = done.stdout.split("|")
    assert words[2:-1] == [
        "bench",
        "bundle/f.edge",
        "--option",
        "a'b $(id)",
        "--meter",
        "rapl",
        "--json",
        "-o",
        "results",
    ]
    assert words[-1] == "x 'y'"
    asked = work.Work(sent, sent, (), ("--meter", "nvml"))
    assert work.command(asked, board).count("--meter") == 1
    assert work.key(task, board) != work.key(asked, board)
    assert work.key(task, board) == work.key(task, board)


def test_every_script_is_valid_shell():
    texts = [value for name, value in vars(scripts).items() if name.isupper() and name != "JOB"]
    assert len(texts) >= 12
    for text in [*texts, scripts.JOB.format(run="/r", name="run", program=":")]:
        done = subprocess.run(
            ["dash", "-n"], input=f"main() {{\n{text}\n}}\n", text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_a_missing_client_is_named():
    from edgekit.benchmarks.remote.link import Link

    link = Link(PI, Settings(ssh=("no-such-ssh",)), lambda: None)
    with pytest.raises(MissingDependencyError, match="install openssh-client"):
        link.open()
    link.close()
