"""From measurements to options."""

from __future__ import annotations

import pytest

from edgekit.converters.quantize import sensitivity
from edgekit.converters.quantize.choose import Option
from edgekit.converters.quantize.methods.records import Group
from edgekit.converters.quantize.sensitivity import Measured, Scale
from edgekit.converters.quantize.work import MethodFacts, Survey
from edgekit.ratios import Ratio

GROUPS = (
    Group("stem", "convolution", ("conv",), 100),
    Group("block00.mlp", "mlp", ("a", "b"), 3000),
    Group("block01.mlp", "mlp", ("c", "d"), 1000),
)
METHODS = {
    "any": MethodFacts("int8", "float32", False, ("convolution", "mlp"), ""),
    "products": MethodFacts("int8", "dynamic uint8", False, ("mlp",), ""),
}
SURVEY = Survey(GROUPS, METHODS, tuple(METHODS))
SCALE = Scale(0.2, 1000, {"image": 0.15, "text": 0.05}, {"image": 600, "text": 400})


def measured(method, loss, size, median, low=None, high=None, kind="mlp", group=""):
    ratio = None if group else Ratio(median, low or median, high or median, 9)
    return Measured("image", kind, group, method, loss, 0.0, size, ratio, "")


def test_methods_fit_the_kinds_and_the_users_wish():
    assert sensitivity.usable(SURVEY, ()) == {"mlp": ("any", "products"), "convolution": ("any",)}
    assert sensitivity.usable(SURVEY, ("products",)) == {"mlp": ("products",), "convolution": ()}
    assert sensitivity.usable(Survey(GROUPS, METHODS, ("any",)), ()) == {"mlp": ("any",), "convolution": ("any",)}
    assert list(sensitivity.usable(SURVEY, ())) == ["mlp", "convolution"], "most weights first"


def test_the_first_pass_changes_all_groups_of_a_kind_and_is_timed():
    tasks = sensitivity.kind_tasks("image", SURVEY, {"mlp": ("any",), "convolution": ("any",)})
    assert list(tasks) == [("mlp", "any"), ("convolution", "any")]
    task = tasks["mlp", "any"]
    assert task.decision.methods == {"block00.mlp": "any", "block01.mlp": "any"}
    assert task.rounds > 0


def test_the_second_pass_changes_one_group_and_knows_single_groups_already():
    tasks = sensitivity.group_tasks("image", SURVEY, {"mlp": ("products", "any"), "convolution": ("any",)})
    assert list(tasks) == [
        ("block00.mlp", "products"),
        ("block01.mlp", "products"),
        ("block00.mlp", "any"),
        ("block01.mlp", "any"),
    ]
    assert all(len(task.decision.methods) == 1 and task.rounds == 0 for task in tasks.values())


def test_cost_is_the_share_of_the_bundles_time_and_a_little_of_its_size():
    one = measured("any", 0.01, -300, 0.5)
    assert sensitivity.cost(one, SCALE, "latency") == pytest.approx(-0.5 * 0.75 - sensitivity.SECOND * 0.3)
    assert sensitivity.cost(one, SCALE, "size") == pytest.approx(-0.3 - sensitivity.SECOND * 0.5 * 0.75)


def test_a_difference_within_its_interval_is_none():
    one = measured("any", 0.01, 0, 1.1, 0.9, 1.3)
    assert sensitivity.cost(one, SCALE, "latency") == 0


def test_what_failed_or_was_not_timed_is_no_option():
    failed = Measured("image", "mlp", "", "any", 0.0, 0.0, 0, None, "the process was ended by SIGSEGV")
    assert sensitivity.kind_options([failed], SCALE, "latency") == {("image", "mlp"): [Option("", 0.0, 0.0)]}


def test_a_method_that_makes_it_slower_is_not_worth_a_second_pass():
    found = [measured("any", 0.001, -10, 7.0), measured("products", 0.01, -300, 0.5)]
    kinds = sensitivity.kind_options(found, SCALE, "latency")
    assert sensitivity.worthwhile(kinds, "image") == {"mlp": ("products",)}
    assert sensitivity.worthwhile(kinds, "text") == {}


def test_groups_share_their_kinds_cost_and_bring_their_own_loss():
    kinds = {("image", "mlp"): [Option("", 0, 0), Option("any", 0.04, -0.4)]}
    alone = [measured("any", 0.001, 0, 1, group="block00.mlp")]
    options = sensitivity.group_options({"image": SURVEY}, kinds, alone)
    assert options["image/stem"] == [Option("", 0.0, 0.0)]
    assert options["image/block00.mlp"][1] == Option("any", 0.001, pytest.approx(-0.3))
    assert options["image/block01.mlp"][1] == Option("any", pytest.approx(0.01), pytest.approx(-0.1))


def test_a_group_that_failed_alone_stays_float():
    kinds = {("image", "mlp"): [Option("", 0, 0), Option("any", 0.04, -0.4)]}
    failed = [Measured("image", "mlp", "block01.mlp", "any", 0.0, 0.0, 0, None, "the process was ended by SIGABRT")]
    options = sensitivity.group_options({"image": SURVEY}, kinds, failed)
    assert [option.name for option in options["image/block01.mlp"]] == [""]
    assert [option.name for option in options["image/block00.mlp"]] == ["", "any"]
