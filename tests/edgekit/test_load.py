"""`edgekit.load`: what it accepts, what it chooses, and what it says when nothing works."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import edgekit
import tiny_bundle as tiny
from edgekit import locations
from edgekit.errors import BundleError, ExecutionError, InputError, RuntimeUnavailableError
from edgekit.judging import Choice
from spy_runtime import SpyRuntime, install

if TYPE_CHECKING:
    from edgekit.bundle.manifest import Manifest


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(tmp_path_factory.mktemp("two") / "two.edge", variants=("fp32", "static"))


def works(bundle: Any, **options: Any) -> None:
    with edgekit.load(bundle, **options) as clip:
        assert clip.embed_texts(["a cat"]).shape == (1, 16)


def test_a_path_a_text_and_bytes_are_the_same_bundle(tiny_bundle: Path, tiny_folder: Path) -> None:
    rows = []
    for source in (tiny_bundle, str(tiny_bundle), tiny_bundle.read_bytes(), tiny_folder, str(tiny_folder)):
        with edgekit.load(source) as clip:
            rows.append(clip.embed_texts(["a red cup"]))
    for row in rows[1:]:
        np.testing.assert_array_equal(row, rows[0])


def test_a_path_may_be_relative_or_a_link(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(tiny_bundle, tmp_path / "real.edge")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link.edge").symlink_to("../real.edge")
    monkeypatch.chdir(tmp_path)
    works("real.edge")
    works("elsewhere/link.edge", check="always")


def test_a_path_need_not_be_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.edge"))
    tiny.build(path, variants=("fp32", "nan"))
    works(path)
    works(path)  # the refusal, which names the file, was stored and read back


def test_a_packaged_bundle_goes_by_its_name(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(tiny_bundle, tmp_path / "pocket.edge")
    monkeypatch.setattr(locations, "files", lambda _: tmp_path)
    works("pocket")
    with pytest.raises(BundleError, match=r"rocket: no such bundle"):
        edgekit.load("rocket")
    # A file of that name in the current folder comes first: it is what the caller can see.
    monkeypatch.chdir(tmp_path)
    Path("pocket").write_bytes(b"something else")
    with pytest.raises(BundleError, match="not a zip"):
        edgekit.load("pocket")


def test_the_starter_is_a_bundle_of_ours() -> None:
    starter = locations.resolve("starter")
    assert isinstance(starter, Path)
    assert starter.suffix == ".edge" or starter == Path("starter")


def test_an_empty_path_is_no_bundle() -> None:
    with pytest.raises(BundleError, match="empty"):
        edgekit.load("")


@pytest.mark.parametrize("source", ["missing.edge", "folder/missing"])
def test_a_missing_bundle_is_told(source: str) -> None:
    with pytest.raises(BundleError, match=source):
        edgekit.load(source)


def test_the_variant_asked_for_is_used(two: Path) -> None:
    for variant in ("fp32", "static"):
        with edgekit.load(two, variant=variant) as clip:
            assert clip.explain().chosen.variant == variant
            assert [c.variant for c in clip.explain().candidates] == [variant]


def test_a_variant_that_is_not_there_is_told_with_those_that_are(two: Path) -> None:
    with pytest.raises(InputError, match=r"two\.edge: has no variant 'int8'; it has fp32, static"):
        edgekit.load(two, variant="int8")


def test_a_runtime_that_is_not_registered_is_told(two: Path) -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"no runtime 'abacus'; registered here: .*onnxruntime"):
        edgekit.load(two, runtime="abacus")


def test_a_device_that_is_not_here_is_told(two: Path) -> None:
    with pytest.raises(RuntimeUnavailableError) as caught:
        edgekit.load(two, device="cuda")
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{two}: no variant can be used on this device:"
    here = [line for line in lines[1:] if "on onnxruntime" in line]
    assert [line.split()[0] for line in here] == ["fp32", "static"]
    assert all("offers no device 'cuda' here, only cpu" in line for line in here)


def test_a_device_that_is_named_is_used(two: Path) -> None:
    with edgekit.load(two, device="cpu", runtime="onnxruntime") as clip:
        assert clip.explain().chosen.device == "cpu"


@pytest.mark.parametrize("towers", [(), ("image", "image"), ("sound",), ("image", "sound"), "image"])
def test_wrong_towers_are_told(tiny_bundle: Path, towers: Any) -> None:
    with pytest.raises(InputError, match="towers must be"):
        edgekit.load(tiny_bundle, towers=towers)


def test_a_wrong_check_is_told(tiny_bundle: Path) -> None:
    with pytest.raises(InputError, match="check is 'never'"):
        edgekit.load(tiny_bundle, check="never")  # type: ignore[arg-type]


def test_only_the_towers_asked_for_are_opened(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = SpyRuntime()
    install(monkeypatch, spy)
    with edgekit.load(tiny_bundle, towers=("image",)) as clip:
        assert [session.name.rpartition("/")[2] for session in spy.opened] == ["image.onnx"]
        assert clip.embed_images([np.zeros((5, 5, 3), np.uint8)]).shape == (1, 16)
        assert list(clip.explain().placement) == ["image"]
        with pytest.raises(ExecutionError, match="the text tower was not loaded"):
            clip.embed_texts(["a"])
        with pytest.raises(ExecutionError, match="the text tower was not loaded"):
            clip.classify(np.zeros((5, 5, 3), np.uint8), ["a"])
    with edgekit.load(tiny_bundle, towers=("text",)) as clip:
        assert [session.name.rpartition("/")[2] for session in spy.opened] == ["text.onnx"]
        assert clip.embed_texts(["a"]).shape == (1, 16)
        with pytest.raises(ExecutionError, match="the image tower was not loaded"):
            clip.embed_images([])


def test_the_fastest_that_passes_is_taken(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, fast = SpyRuntime("slow", delay=0.03), SpyRuntime("tortoise", delay=0.001)
    install(monkeypatch, slow, fast)
    with edgekit.load(tiny_bundle) as clip:
        explanation = clip.explain()
        assert explanation.chosen.runtime == "tortoise 9.9"
        assert [c.runtime for c in explanation.candidates] == ["slow 9.9", "tortoise 9.9"]
        times = [c.milliseconds for c in explanation.candidates]
        assert all(time is not None for time in times)
        assert "also: fp32 on slow 9.9 (cpu)" in str(explanation)
        assert not slow.opened  # the loser's memory is free
        assert len(fast.opened) == 2
    assert not fast.opened


def test_every_device_competes(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, SpyRuntime(offers=("npu", "cpu")))
    with edgekit.load(tiny_bundle) as clip:
        assert [c.device for c in clip.explain().candidates] == ["npu", "cpu"]
    with edgekit.load(tiny_bundle, device="npu") as clip:
        assert [c.device for c in clip.explain().candidates] == ["npu"]


def test_a_lone_candidate_is_not_timed(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = SpyRuntime()
    install(monkeypatch, spy)
    with edgekit.load(tiny_bundle) as clip:
        assert clip.explain().chosen.milliseconds is None
        assert len(spy.runs) == len(clip.manifest.golden.images) + len(clip.manifest.golden.texts)


def test_an_engine_that_refuses_leaves_it_to_the_others(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, SpyRuntime("good"), SpyRuntime("picky", refuses="no such operator"))
    with edgekit.load(tiny_bundle) as clip:
        assert clip.explain().chosen.runtime == "good 9.9"
        picky = clip.explain().candidates[1]
        assert (picky.runtime, picky.ran, picky.accepted) == ("picky 9.9", True, False)
        assert picky.reason.endswith("no such operator")


def test_an_absent_engine_is_told(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, SpyRuntime("good"), SpyRuntime("gone", absent="not here; pip install gone"))
    with edgekit.load(tiny_bundle) as clip:
        assert clip.explain().absent == ("gone",)
        assert str(clip.explain()).splitlines()[-1] == "not installed here: gone (edgekit doctor says how)"
        assert all(candidate.runtime != "gone" for candidate in clip.explain().candidates)


def test_an_absent_engine_is_a_refusal_where_no_other_opens_the_variant(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, SpyRuntime("gone", absent="not here; pip install gone"))
    with pytest.raises(RuntimeUnavailableError, match=r"on gone \(auto\)  refused: not here; pip install gone"):
        edgekit.load(tiny_bundle)


def test_without_any_engine_the_message_says_what_to_install(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeUnavailableError, match=r'pip install "edgekit\[onnx\]"'):
        edgekit.load(tiny_bundle)


def test_without_a_runtime_for_the_format_the_message_says_so(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, SpyRuntime("other", formats=frozenset({"beads"})))
    with pytest.raises(
        RuntimeUnavailableError, match=r"tiny\.edge: no runtime registered here opens onnx; pip install"
    ):
        edgekit.load(tiny_bundle)


def test_a_broken_package_harms_no_other_runtime(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit.runtimes import registry

    spy = SpyRuntime("good")
    install(monkeypatch, spy)
    monkeypatch.setattr(registry, "names", lambda: ("broken", "good"))
    with edgekit.load(tiny_bundle) as clip:
        broken = next(c for c in clip.explain().candidates if c.runtime == "broken")
        assert not broken.ran
        assert "no runtime 'broken'" in broken.reason
        assert clip.explain().chosen.runtime == "good 9.9"


def test_every_refusal_is_in_the_message(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtimes = SpyRuntime("one", refuses="no memory"), SpyRuntime("two", absent="not installed")
    install(monkeypatch, *runtimes)
    with pytest.raises(RuntimeUnavailableError) as caught:
        edgekit.load(tiny_bundle)
    first, second = str(caught.value).splitlines()[1:]
    assert first.startswith("  fp32 on one 9.9 (cpu)")
    assert first.endswith("no memory")
    assert second == "  fp32 on two (auto)  refused: not installed"


def test_towers_opened_before_an_error_are_closed(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class HalfBroken(SpyRuntime):
        def open(self, artifact: Any, device: Any, settings: Any) -> Any:
            if artifact.name.endswith("text.onnx"):
                raise ExecutionError(f"{artifact.name}: no")
            return super().open(artifact, device, settings)

    spy = HalfBroken()
    install(monkeypatch, spy)
    with pytest.raises(RuntimeUnavailableError, match=r"text\.onnx: no"):
        edgekit.load(tiny_bundle)
    assert not spy.opened


def test_damage_is_an_error_and_not_a_refusal(two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny.unpack(two, tmp_path / "two")
    model = folder / "variants" / "static" / "text.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    spy = SpyRuntime()
    install(monkeypatch, spy)
    with pytest.raises(BundleError, match=r"variants/static/text\.onnx: the SHA-256"):
        edgekit.load(folder)
    assert not spy.opened


def test_settings_reach_the_engine(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Listening(SpyRuntime):
        def open(self, artifact: Any, device: Any, settings: Any) -> Any:
            seen.append((device, settings))
            return super().open(artifact, device, settings)

    install(monkeypatch, Listening())
    wanted = edgekit.SessionSettings(threads=1, spinning=False)
    works(tiny_bundle, settings=wanted)
    works(tiny_bundle)
    assert seen == [("cpu", wanted)] * 2 + [("cpu", edgekit.SessionSettings())] * 2


def test_a_choice_names_its_towers(tiny_bundle: Path) -> None:
    with edgekit.load(tiny_bundle) as clip:
        manifest: Manifest = clip.manifest
    choice = Choice(manifest.variants[0], SpyRuntime(), "", "cpu")
    assert choice.tower("image") is manifest.variants[0].image
    assert choice.tower("text") is manifest.variants[0].text
    assert choice.candidate("").runtime == "onnxruntime"  # no trailing space without a version


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", "/a")
    assert locations.cache_dir() == Path("/a")
    monkeypatch.delenv("EDGEKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert locations.cache_dir() == Path("/b/edgekit")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/c")
    assert locations.cache_dir() == Path("/c/.cache/edgekit")


def test_a_user_without_a_home_is_told_and_not_stopped(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("EDGEKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(InputError, match="set EDGEKIT_CACHE"):
        locations.cache_dir()
    with edgekit.load(tiny_bundle) as clip:
        assert "could not be stored" in clip.explain().note


def test_an_engine_of_other_formats_is_not_asked(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Heavy(SpyRuntime):
        asked = 0

        def available(self) -> Any:
            self.asked += 1
            return super().available()

    heavy = Heavy("heavy", formats=frozenset({"plan"}), absent="not installed")
    install(monkeypatch, SpyRuntime(), heavy)
    works(tiny_bundle)
    assert heavy.asked == 0
