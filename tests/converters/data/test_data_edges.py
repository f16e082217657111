"""Sets whose packages or folders are not quite as expected: what is written, and what is refused in which words."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from cli_runner import fails, run
from edgekit.converters.data import archives, catalog, emoji, managers, stamps, store, wordnet_texts, writing
from edgekit.converters.data.records import Contents, PackageRecord, Record
from edgekit.errors import FetchError

QUIET = {"force": False, "on_stage": lambda _: None}


# the record of a set


def test_the_record_holds_every_file_but_itself(source):
    outcome = store.fetch(source, **QUIET)
    record = outcome.record
    assert [file.path for file in record.files] == ["LICENSE.txt", "a.png", "b.png", "labels.csv"]
    assert {path.name for path in outcome.path.iterdir()} == {file.path for file in record.files} | {store.RECORD}
    for file in record.files:
        assert (outcome.path / file.path).stat().st_size == file.size
        assert managers.sha256(outcome.path / file.path) == file.sha256
    (package,) = source.packages
    assert record.packages == (PackageRecord("npm", "thing", "1.0", package.sha256),)
    assert store.check(source) == record


@pytest.mark.parametrize("name", ["a.png", "labels.csv", "LICENSE.txt"])
@pytest.mark.parametrize("how", ["removed", "cut", "same size", "a folder"])
def test_every_file_of_a_set_is_checked(source, name, how):
    path = store.fetch(source, **QUIET).path / name
    content = path.read_bytes()
    path.unlink()
    if how == "cut":
        path.write_bytes(content[:-1])
    elif how == "same size":
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif how == "a folder":
        path.mkdir()
    with pytest.raises(FetchError) as caught:
        store.check(source)
    assert str(caught.value) == (
        f"{path}: is missing, or was changed since it was fetched; to fetch it anew: edgekit data fetch things --force"
    )


def test_a_file_of_the_users_own_beside_the_set_does_no_harm(source):
    path = store.fetch(source, **QUIET).path
    (path / "notes.md").write_text("mine")
    assert store.fetch(source, **QUIET).fetched is False
    assert (path / "notes.md").exists()


def test_the_licence_file_has_the_sets_words_and_each_packages_text(source):
    text = (store.fetch(source, **QUIET).path / store.LICENSE).read_text()
    own, package = text.split("=" * 100)
    assert own.strip() == "Things: nobody's."
    assert package.strip() == "thing 1.0: package/LICENSE\n\ndo as you like"


@pytest.mark.parametrize(
    ("error", "said"),
    [(KeyError("label"), "KeyError: 'label'"), (ValueError("bad order"), "ValueError: bad order")],
    ids=["key", "value"],
)
def test_a_builder_that_finds_something_else_is_told_and_leaves_nothing(source, error, said):
    def build(packages, out):
        (out / "half.png").write_bytes(b"x")
        raise error

    broken = dataclasses.replace(source, build=build)
    with pytest.raises(FetchError, match=f"things: its packages do not hold what was expected .{said}"):
        store.fetch(broken, **QUIET)
    assert list(store.folder(source).parent.iterdir()) == []


def test_an_empty_set_is_none(source):
    empty = dataclasses.replace(source, build=lambda packages, out: Contents(0, 0))
    with pytest.raises(FetchError, match="nothing was found in them"):
        store.fetch(empty, **QUIET)


def test_steps_are_told_in_their_order(source):
    steps = []
    store.fetch(source, force=False, on_stage=steps.append)
    assert steps == ["downloading thing 1.0 (0 MB)", "unpacking thing", "writing the set"]
    store.fetch(source, force=False, on_stage=steps.append)
    assert steps[3:] == ["checking"]


# the command


def test_the_list_as_json_has_every_declared_fact():
    rows = json.loads(run("data", "list", "--json").stdout)
    assert [row["name"] for row in rows] == list(catalog.SOURCES)
    for row in rows:
        assert set(row) == {"name", "task", "description", "license", "packages", "download", "here"}
        source = catalog.SOURCES[row["name"]]
        assert row["download"] == sum(package.size for package in source.packages)
        assert (row["here"], row["task"]) == (False, source.task)
        assert all(package.count(":") >= 1 and "@" in package for package in row["packages"])


def test_the_list_is_a_table_whose_columns_line_up():
    head, *lines = run("data", "list").stdout.splitlines()
    assert len(lines) == len(catalog.SOURCES)
    for line, source in zip(lines, catalog.SOURCES.values(), strict=True):
        assert line.index(source.description) == head.index("holds")
        assert line.startswith(f"{source.name:<14} {source.task}")


def test_path_fails_before_a_fetch_with_its_command(source, monkeypatch):
    monkeypatch.setattr(catalog, "SOURCES", {source.name: source})
    assert fails("data", "path", "things", code=1).rstrip() == (
        "Error: things is not fetched yet: edgekit data fetch things"
    )
    store.fetch(source, **QUIET)
    report = json.loads(run("data", "path", "things", "--json").stdout)
    assert report == {"name": "things", "path": str(store.folder(source))}


@pytest.mark.parametrize("command", [("fetch",), ("path",), ("fetch", "a", "b"), ("list", "--force")], ids=" ".join)
def test_wrong_arguments_are_wrong_use(command):
    assert "Usage: " in fails("data", *command)


# archives and builders


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0.05, 0.9), kind=st.sampled_from(["tgz", "whl"]))
def test_an_archive_cut_anywhere_is_damaged(registry, tmp_path_factory, cut, kind):
    folder = tmp_path_factory.mktemp("cut")
    members = [(f"package/{n}.bin", bytes(range(256)) * 40) for n in range(4)]
    content = {"tgz": registry.tar, "whl": registry.wheel}[kind](members)
    archive = folder / f"thing.{kind}"
    archive.write_bytes(content[: int(len(content) * cut)])
    (folder / "out").mkdir()
    with pytest.raises(FetchError, match=rf"^thing\.{kind}: is damaged or no such archive"):
        archives.unpack(archive, folder / "out", ("package/",))


def test_a_prefix_may_end_inside_a_name(registry, tmp_path):
    archive = tmp_path / "thing.tgz"
    archive.write_bytes(registry.tar([("p/data.noun", b"n"), ("p/data.verb", b"v"), ("p/index", b"i")]))
    archives.unpack(archive, tmp_path / "out", ("p/data.",))
    assert {path.name for path in (tmp_path / "out" / "p").iterdir()} == {"data.noun", "data.verb"}


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs Debian's dpkg-deb")
def test_the_reader_of_a_deb_is_ended_where_its_content_is_refused(registry, tmp_path, monkeypatch):
    children, real = [], subprocess.Popen
    monkeypatch.setattr(archives.subprocess, "Popen", lambda *a, **k: (children.append(real(*a, **k)), children[-1])[1])
    archive = tmp_path / "thing.deb"
    archive.write_bytes(registry.deb([("../outside", b"x"), ("big", bytes(1 << 20))]))
    with pytest.raises(FetchError, match="lies outside the archive"):
        archives.unpack(archive, tmp_path / "out", ("big",))
    assert [child.poll() is not None for child in children] == [True]
    assert not (tmp_path / "outside").exists()


def test_a_drawing_is_told_by_its_folder_its_vector_or_its_colours(tmp_path):
    many = Image.effect_noise((128, 128), 90).convert("RGB")
    shades = Image.merge("RGB", [Image.effect_noise((128, 128), 90) for _ in range(3)])
    photo = tmp_path / "animals" / "frog.png"
    assert stamps.is_photograph(photo, shades)
    assert not stamps.is_photograph(photo, many)  # 256 greys
    assert not stamps.is_photograph(tmp_path / "cartoon" / "frog.png", shades)
    photo.parent.mkdir()
    photo.with_suffix(".svg").write_text("<svg/>")
    assert not stamps.is_photograph(photo, shades)


def test_the_licence_at_the_top_of_wordnet_is_no_gloss():
    text = '  1 This software | is free\n00001740 03 n 01 entity 0 000 | that which is; "it is"  \nno bar here\n'
    assert list(wordnet_texts.glosses(text)) == ["that which is", "it is"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["1f600", "1f44d", "2764", "1f1e9-1f1ea", "23-fe0f-20e3"]), unique=True, min_size=1))
def test_only_what_is_both_drawn_and_named_is_written(tmp_path_factory, drawn):
    folder = tmp_path_factory.mktemp("drawn")
    names = ["1F600", "2764-FE0F", "0023-20E3"]
    entries = [{"label": f"l{n}", "hexcode": code, "order": n, "group": 0} for n, code in enumerate(names)]
    (folder / "package" / "en").mkdir(parents=True)
    (folder / emoji.NAMES_FILE).write_text(json.dumps(entries))
    out = folder / "out"
    out.mkdir()
    files = [folder / f"{code}.png" for code in drawn]
    found = emoji.write(folder, files, lambda path: Image.new("RGB", (2, 2)), out)
    wanted = {emoji.concept(code) for code in drawn} & {emoji.concept(code) for code in names}
    assert {path.stem.upper() for path in (out / writing.IMAGES).iterdir()} == wanted
    assert found == Contents(len(wanted), len(wanted))


def test_a_record_of_the_future_is_refused_with_the_remedy(source):
    path = store.fetch(source, **QUIET).path / store.RECORD
    plain = json.loads(path.read_text())
    assert set(plain) == {field.name for field in dataclasses.fields(Record)}
    path.write_text(json.dumps({**plain, "mood": "good"}))
    with pytest.raises(FetchError, match=r"mood.*edgekit data fetch things --force"):
        store.check(source)
