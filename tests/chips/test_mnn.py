"""What is MNN's alone: options, placement from a real run, inputs that do not fit, files without their vendor's log."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import mnn_models
import onnx_models
from edgekit.errors import ExecutionError, InputError
from edgekit.runtimes.mnn import Mnn
from edgekit.runtimes.protocol import SessionSettings
from runtime_contract import inputs

ONE = SessionSettings(threads=1)


@pytest.fixture(scope="module", name="artifact")
def _artifact(tmp_path_factory):
    return mnn_models.two_inputs(tmp_path_factory.mktemp("mnn"))


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ((("threads", "2"),), "known: power, precision"),
        ((("precision", "f16"),), "takes high, normal, low, not 'f16'"),
        ((("power", "low"),) * 2, "twice"),
    ],
)
def test_a_wrong_option_is_refused(artifact, pairs, told):
    with pytest.raises(InputError, match=told):
        Mnn().open(artifact, "cpu", SessionSettings(options=pairs))


@pytest.mark.parametrize("precision", ["high", "normal", "low"])
def test_each_precision_opens_and_is_near(artifact, precision):
    session = Mnn().open(artifact, "cpu", SessionSettings(threads=1, options=(("precision", precision),)))
    found, wanted = session.run(inputs(3))["sum"], onnx_models.expected(inputs(3))["sum"]
    session.close()
    np.testing.assert_allclose(found, wanted, rtol=1e-5 if precision == "high" else 2e-2, atol=1e-2)


def test_placement_lists_the_operators_of_a_real_run(artifact):
    session = Mnn().open(artifact, "cpu", ONE)
    kinds = {node.op for node in session.placement().nodes}
    session.close()
    assert {"BinaryOp", "Reduction"} <= kinds


def test_inputs_that_do_not_fit_together_are_an_error_and_the_session_lives_on(artifact):
    session = Mnn().open(artifact, "cpu", ONE)
    for _ in range(2):
        with pytest.raises(ExecutionError, match=r"test\.mnn: MNN returned nothing; do pixels \(3, 4, 4, 3\), ids"):
            session.run({"pixels": inputs(3)["pixels"], "ids": inputs(2)["ids"]})
        assert session.run(inputs(2))["sum"].shape == (2, 3)
    session.close()


def test_without_the_package_it_says_what_installs_it(monkeypatch, artifact):
    monkeypatch.setitem(sys.modules, "MNN", None)
    assert 'pip install "edgekit[mnn]"' in Mnn().available().reason
    assert Mnn().devices() == ()
    with pytest.raises(ExecutionError, match="only none"):
        Mnn().open(artifact, "cpu", ONE)
