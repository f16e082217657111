"""Providers that are plugins: found without loading, loaded once, named by their chip; no vendor's package needed."""

from __future__ import annotations

import sys
import types

import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError, PlacementError
from edgekit.runtimes import ort_options, ort_plugins, qnn_chips
from edgekit.runtimes.ort import OnnxRuntime
from edgekit.runtimes.ort_plugins import VARIABLE, Plugin


def test_none_are_offered_where_none_are_installed(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(ort_plugins, "find_spec", lambda _: None)
    assert ort_plugins.installed() == ()
    assert ort_plugins.devices(onnxruntime) == ()


def test_the_environment_names_libraries_and_comes_first(monkeypatch):
    monkeypatch.setenv(VARIABLE, "VitisAIExecutionProvider=/opt/vitis.so;;QNNExecutionProvider=/opt/qnn.so")
    monkeypatch.setattr(ort_plugins, "find_spec", lambda _: True)
    assert ort_plugins.installed() == (
        Plugin("vitisai", "VitisAIExecutionProvider", "/opt/vitis.so"),
        Plugin("qnn", "QNNExecutionProvider", "/opt/qnn.so"),
    )
    assert ort_plugins.plugin_of("qnn:QCS6490").library == "/opt/qnn.so"
    assert ort_plugins.plugin_of("qnnx") is None


@pytest.mark.parametrize("value", ["qnn", "=/opt/qnn.so", "QNNExecutionProvider="])
def test_a_malformed_variable_is_told(monkeypatch, value):
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(InputError, match=rf"{VARIABLE}: .* is not NAME="):
        ort_plugins.installed()


def test_a_package_that_is_not_imported_is_found(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(ort_plugins, "find_spec", lambda module: module == "onnxruntime_qnn")
    assert ort_plugins.installed() == (Plugin("qnn", "QNNExecutionProvider", "[onnxruntime_qnn]"),)


def test_a_missing_library_offers_no_device_and_says_why_when_asked(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, f"TestExecutionProvider={tmp_path / 'none.so'}")
    assert "test" not in {name.strip(":") for name in OnnxRuntime().devices()}
    with pytest.raises(PlacementError, match=rf"none\.so is no file; correct {VARIABLE}"):
        ort_plugins.hardware(onnxruntime, ort_plugins.installed()[0])


def test_a_library_that_is_no_provider_is_told_with_the_engines_words(tmp_path):
    library = tmp_path / "text.so"
    library.write_text("no library")
    with pytest.raises(PlacementError, match=r"BrokenExecutionProvider: .*text\.so does not load: "):
        ort_plugins.hardware(onnxruntime, Plugin("broken", "BrokenExecutionProvider", str(library)))


def test_a_broken_package_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime_broken", types.ModuleType("onnxruntime_broken"))
    with pytest.raises(PlacementError, match="the package onnxruntime_broken is broken"):
        ort_plugins.hardware(onnxruntime, Plugin("x", "XExecutionProvider", "[onnxruntime_broken]"))


def test_an_old_onnxruntime_is_told():
    old = types.SimpleNamespace(__version__="1.21.0")
    with pytest.raises(PlacementError, match=r"onnxruntime 1\.21\.0 loads no providers of their own; install 1\.24"):
        ort_plugins.hardware(old, Plugin("x", "XExecutionProvider", "/x.so"))


class TwoDevices:
    """onnxruntime with one plugin, whose hardware the test says."""

    def __init__(self, *kinds):
        self.kinds = kinds
        self.registered = []

    def register_execution_provider_library(self, name, library):
        self.registered.append((name, library))

    def get_ep_devices(self):
        def record(kind):
            return types.SimpleNamespace(ep_name="FakeExecutionProvider", device=types.SimpleNamespace(type=kind))

        return [record(kind) for kind in self.kinds]


@pytest.mark.parametrize(
    ("kinds", "offered"),
    [
        (("OrtHardwareDeviceType.NPU",), ("fake",)),
        (("OrtHardwareDeviceType.CPU",), ("fake:",)),
        (("OrtHardwareDeviceType.CPU", "OrtHardwareDeviceType.GPU"), ("fake",)),
        ((), ()),
    ],
)
def test_a_provider_that_found_its_chip_competes_and_a_simulator_must_be_named(monkeypatch, tmp_path, kinds, offered):
    library = tmp_path / "fake.so"
    library.touch()
    monkeypatch.setenv(VARIABLE, f"FakeExecutionProvider={library}")
    monkeypatch.setattr(ort_plugins, "_REGISTERED", {})
    monkeypatch.setattr(ort_plugins, "find_spec", lambda _: None)
    build = TwoDevices(*kinds)
    assert ort_plugins.devices(build) == offered
    assert ort_plugins.devices(build) == offered
    assert build.registered == [("FakeExecutionProvider", str(library))]


def test_chips_have_distinct_names_and_numbers():
    names = [name.replace(" ", "").lower() for chip in qnn_chips.CHIPS for name in chip.names]
    assert len(set(names)) == len(names)
    assert len({chip.soc_model for chip in qnn_chips.CHIPS}) == len(qnn_chips.CHIPS)


@pytest.mark.parametrize("name", ["QCS6490", "qcs6490", "QCM6490", "sm7325"])
def test_a_chip_is_found_by_each_of_its_names(name):
    assert qnn_chips.options(name) == {"backend_type": "htp", "soc_model": "35", "htp_arch": "68"}
    assert not qnn_chips.find(name).float16


def test_the_chip_it_runs_on_needs_no_numbers():
    assert qnn_chips.options("") == {"backend_type": "htp"}
    assert ort_plugins.options("qnn", {"htp_performance_mode": "burst"}) == {
        "backend_type": "htp",
        "htp_performance_mode": "burst",
    }
    assert ort_plugins.options("qnn:8 Gen 3", {"htp_arch": "73"})["htp_arch"] == "73"
    assert ort_plugins.options("vitisai:x", {}) == {}


def test_another_chip_is_told_with_a_way_out():
    with pytest.raises(PlacementError, match=r"'QCS9999' is known; known: QCS6490, .*provider\.soc_model=N"):
        qnn_chips.find("QCS9999")


@given(st.text())
def test_any_name_is_found_or_refused(name):
    try:
        chip = qnn_chips.find(name)
    except PlacementError:
        return
    assert chip in qnn_chips.CHIPS


def test_options_with_the_prefix_go_to_the_provider_and_nowhere_else():
    pairs = (("provider.device_id", "1"), ("graph_optimization", "basic"), ("provider.a.b", "x"))
    ort_options.check(pairs)
    assert ort_options.provider(pairs) == {"device_id": "1", "a.b": "x"}
    options = onnxruntime.SessionOptions()
    ort_options.apply(onnxruntime, options, pairs)
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC


@pytest.mark.parametrize("name", ["provider.", "providers.x", "x"])
def test_other_names_are_refused(name):
    with pytest.raises(InputError, match=r"known: .*provider\.NAME"):
        ort_options.check([(name, "1")])


def test_an_option_for_the_provider_given_twice_is_refused():
    with pytest.raises(InputError, match="twice"):
        ort_options.check([("provider.x", "1"), ("provider.x", "2")])
