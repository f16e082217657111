"""Every real set, fetched whole from packages of the real layout in small: what is wanted is what the builders read."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
import types

import numpy as np
import pytest
from PIL import Image

from cli_runner import fails, run
from edgekit.converters.data import catalog, photos, store
from edgekit.converters.data.catalog import SOURCES
from edgekit.evaluation.datasets import locate, open_dataset

NAMES = [{"label": f"concept {number}", "hexcode": f"1F60{number}", "order": number, "group": 0} for number in range(3)]
IMAGES = {name: source for name, source in SOURCES.items() if source.task != "texts"}


def encoded(form):
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(out, form)
    return out.getvalue()


def emoji_files(folder, form):
    ending = {"PNG": "png", "WEBP": "webp"}[form]
    return [(f"{folder}{entry['hexcode'].lower()}.{ending}", encoded(form)) for entry in NAMES]


def members():
    """The files of each package, by its name, with some that are not wanted."""
    gloss = b'00001740 03 n 01 entity 0 000 | that which exists; "it is"\n'
    stamps = "./usr/share/tuxpaint/stamps/animals/"
    wheels = {
        package.name: [
            *((f"{photos._FOLDERS[photo.package]}{photo.file}", encoded("PNG")) for photo in photos.PHOTOS),
            *((path, b"licence") for path in package.licenses),
            *metadata(package.name, package.version),
        ]
        for package in SOURCES["photos"].packages
    }
    return {
        "emoji-datasource-google": emoji_files("package/img/google/64/", "PNG"),
        "emoji-datasource-twitter": emoji_files("package/img/twitter/64/", "PNG"),
        "@lobehub/fluent-emoji-3d": emoji_files("package/assets/", "WEBP"),
        "openmoji": [("package/color/svg/1F600.svg", b"<svg/>"), ("package/LICENSE.txt", b"CC")],
        "emojibase-data": [("package/en/data.json", json.dumps(NAMES).encode()), ("package/LICENSE", b"MIT")],
        "tuxpaint-stamps-default": [
            (f"{stamps}frog.png", encoded("PNG")),
            (f"{stamps}frog.txt", b"A frog.\n"),
            (f"{stamps}frog_desc.ogg", b"sound"),
            ("./usr/share/doc/tuxpaint-stamps-default/copyright", b"GPL-2"),
        ],
        "wordnet-base": [
            *((f"./usr/share/wordnet/data.{part}", gloss) for part in ("noun", "verb", "adj", "adv")),
            ("./usr/share/doc/wordnet-base/copyright", b"WordNet"),
        ],
        **wheels,
    }


def metadata(name, version):
    folder = f"{name.replace('-', '_')}-{version}.dist-info"
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    wheel = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    return [(f"{folder}/METADATA", text), (f"{folder}/WHEEL", wheel), (f"{folder}/RECORD", b"")]


@pytest.fixture
def served(registry, monkeypatch):
    """The catalogue with the digests of small packages in the place of the real ones."""
    files, added, small = members(), {}, {}
    for name, source in SOURCES.items():
        for package in source.packages:
            if package.name in added:
                continue
            given = [*files[package.name], ("package/README.md", b"readme")] if package.manager == "npm" else None
            made = registry.add(
                package.manager, given or files[package.name], name=package.name, version=package.version
            )
            added[package.name] = made.sha256
        packages = tuple(dataclasses.replace(p, sha256=added[p.name]) for p in source.packages)
        small[name] = dataclasses.replace(source, packages=packages, needs=())
    monkeypatch.setattr(catalog, "SOURCES", small)
    drawing = types.SimpleNamespace(svg_to_bytes=lambda **_: encoded("PNG"))
    monkeypatch.setitem(sys.modules, "resvg_py", drawing)
    return small


@pytest.mark.parametrize("name", SOURCES)
def test_a_set_is_fetched_from_its_packages(served, name):
    report = json.loads(run("data", "fetch", name, "--json").stdout)
    assert report["fetched"]
    assert report["texts"] > 0
    folder = store.folder(served[name])
    assert str(folder) == report["path"]
    license_text = (folder / "LICENSE.txt").read_text()
    assert license_text.startswith(served[name].license)
    for package in served[name].packages:
        assert all(f"{package.name} {package.version}: {path}" in license_text for path in package.licenses)
    assert not json.loads(run("data", "fetch", name, "--json").stdout)["fetched"]


@pytest.mark.parametrize("name", IMAGES)
def test_what_was_fetched_opens_under_its_name(served, name):
    run("data", "fetch", name)
    dataset = open_dataset(locate(name))
    record = store.check(served[name])
    assert dataset.task == record.task == served[name].task
    assert (len(dataset.items), len(dataset.texts)) == (record.images, record.texts)
    for item in dataset.items:
        with Image.open(io.BytesIO(item.read())) as image:
            assert image.convert("RGB").size == image.size


@pytest.mark.parametrize("name", sorted(set(SOURCES) - set(IMAGES)))
def test_a_set_of_texts_has_one_a_line(served, name):
    run("data", "fetch", name)
    lines = (store.folder(served[name]) / "texts.txt").read_text().splitlines()
    assert len(lines) == len(set(lines)) == store.check(served[name]).texts
    assert all(line == line.strip() and line for line in lines)


def test_the_same_packages_give_the_same_bytes(served):
    first = json.loads(run("data", "fetch", "emoji-noto", "--json").stdout)
    before = store.check(served["emoji-noto"]).files
    assert json.loads(run("data", "fetch", "emoji-noto", "--json", "--force").stdout)["size"] == first["size"]
    assert store.check(served["emoji-noto"]).files == before


def test_vendors_share_their_labels(served):
    for name in ("emoji-noto", "emoji-fluent"):
        run("data", "fetch", name)
    one, other = (open_dataset(locate(name)) for name in ("emoji-noto", "emoji-fluent"))
    assert one.texts == other.texts == tuple(entry["label"] for entry in NAMES)
    assert one.digest != other.digest


def test_a_package_of_another_layout_is_an_error_and_leaves_nothing(served, registry, monkeypatch):
    package = registry.add("npm", [("package/other.json", b"[]")], name="emojibase-data", version="17.0.0")
    source = dataclasses.replace(served["emoji-names"], packages=(dataclasses.replace(package, wanted=("package/",)),))
    monkeypatch.setattr(catalog, "SOURCES", {"emoji-names": source})
    message = fails("data", "fetch", "emoji-names", code=1)
    assert "its packages do not hold what was expected" in message
    assert list(store.folder(source).parent.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b"no json", b'[{"group": 0}]'], ids=["none", "object", "text", "bare"]
)
def test_names_that_cannot_be_read_are_an_error(served, registry, monkeypatch, content):
    files = [("package/en/data.json", content), ("package/LICENSE", b"MIT")]
    package = registry.add("npm", files, name="emojibase-data", version="17.0.0")
    kept = dataclasses.replace(package, wanted=("package/",))
    source = dataclasses.replace(served["emoji-names"], packages=(kept,))
    monkeypatch.setattr(catalog, "SOURCES", {"emoji-names": source})
    message = fails("data", "fetch", "emoji-names", code=1)
    assert "emoji-names: its packages do not hold what was expected" in message
