"""What every runtime must do, whatever its engine: one suite, applied by a subclass per runtime.

A subclass is named ``Test…`` and gives the fixture ``subject``, nothing else: no runtime may leave a clause out. One
whose models keep weights in files of their own takes the clauses of `SidecarContract` as well.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.errors import ExecutionError, PlacementError
from edgekit.runtimes.protocol import Artifact, Blob, Session, SessionSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    from edgekit.runtimes.protocol import Runtime

Arrays = dict[str, "npt.NDArray[np.generic]"]
ONE_THREAD = SessionSettings(threads=1)


@dataclass(frozen=True)
class Subject:
    """A runtime, and models of its format made in the test.

    Attributes:
        runtime: the runtime.
        device: one of its devices.
        free: a model with ``pixels`` uint8 (N, 4, 4, 3) and ``ids`` int32 (N, L) to ``sum`` float32 (N, 3) and
            ``first`` float32 (N, 1), on disk; where models have sidecars, its weights lie in ``weights.bin``.
        fixed: the same with N = 2 and L = 5.
        in_memory: `free` with nothing on disk.
        expected: what the models compute, in NumPy.
        malformed: contents of files that are no models.
        pointing_at: `free` with its weights said to lie in another file; None where models have no sidecars.
    """

    runtime: Runtime
    device: str
    free: Artifact
    fixed: Artifact
    in_memory: Artifact
    expected: Callable[[Mapping[str, npt.NDArray[np.generic]]], Arrays]
    malformed: tuple[bytes, ...]
    pointing_at: Callable[[str], Artifact] | None = None

    def open(self, artifact: Artifact, settings: SessionSettings = ONE_THREAD) -> Session:
        return self.runtime.open(artifact, self.device, settings)


def inputs(batch: int, length: int = 5, seed: int = 0) -> Arrays:
    random = np.random.default_rng(seed)
    return {
        "pixels": random.integers(0, 256, (batch, 4, 4, 3), np.uint8),
        "ids": random.integers(0, 7, (batch, length), np.int32),
    }


def assert_same(found: Mapping[str, npt.NDArray[np.generic]], wanted: Mapping[str, npt.NDArray[np.generic]]) -> None:
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        assert found[name].shape == array.shape
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-4)


class RuntimeContract:
    """Every test here is a clause of `edgekit.runtimes.protocol`."""

    @pytest.fixture
    def session(self, subject: Subject) -> Iterator[Session]:
        session = subject.open(subject.free)
        yield session
        session.close()

    def test_it_says_what_it_is(self, subject: Subject) -> None:
        availability = subject.runtime.available()
        assert availability.ok
        assert availability.version
        assert availability.reason == ""
        assert subject.free.format in subject.runtime.formats
        assert subject.device in subject.runtime.devices()
        assert subject.runtime.name == subject.runtime.name.lower().strip()

    def test_it_tells_the_inputs_and_outputs(self, session: Session) -> None:
        assert {(i.name, i.dtype, i.shape) for i in session.inputs} == {
            ("pixels", "uint8", (None, 4, 4, 3)),
            ("ids", "int32", (None, None)),
        }
        assert [(o.name, o.dtype) for o in session.outputs] == [("sum", "float32"), ("first", "float32")]
        assert [o.shape[-1] for o in session.outputs] == [3, 1]

    def test_fixed_dimensions_are_told(self, subject: Subject) -> None:
        session = subject.open(subject.fixed)
        assert {i.name: i.shape for i in session.inputs} == {"pixels": (2, 4, 4, 3), "ids": (2, 5)}
        session.close()

    @pytest.mark.parametrize("batch", [1, 2, 7, 33])
    def test_it_computes(self, subject: Subject, session: Session, batch: int) -> None:
        given = inputs(batch, length=batch + 1)
        found = session.run(given)
        assert_same(found, subject.expected(given))
        assert all(array.dtype == np.float32 for array in found.values())

    def test_an_empty_batch_gives_empty_outputs_or_an_error(self, session: Session) -> None:
        try:
            found = session.run(inputs(0))
        except ExecutionError:
            return
        assert {name: len(array) for name, array in found.items()} == {"sum": 0, "first": 0}

    def test_inputs_need_not_be_contiguous(self, subject: Subject, session: Session) -> None:
        whole = inputs(6, length=10)
        given = {"pixels": whole["pixels"][::2, ::-1], "ids": np.asfortranarray(whole["ids"][::2, ::2])}
        assert not any(array.flags.c_contiguous for array in given.values())
        assert_same(session.run(given), subject.expected(given))

    def test_inputs_may_be_read_only_and_stay_as_they_are(self, session: Session) -> None:
        given = inputs(3)
        before = {name: array.copy() for name, array in given.items()}
        for array in given.values():
            array.flags.writeable = False
        session.run(given)
        for name, array in given.items():
            np.testing.assert_array_equal(array, before[name])

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda given: given.pop("ids"), "ids"),
            (lambda given: given.update(extra=given["ids"]), "extra"),
            (lambda given: given.update(ids=given["ids"].astype(np.int64)), "ids must be int32, got int64"),
            (lambda given: given.update(pixels=given["pixels"].astype(np.float32)), "pixels must be uint8"),
            (lambda given: given.update(ids=given["ids"].astype(">i4")), "ids must be int32"),
            (lambda given: given.update(pixels=given["pixels"][:, :3]), "pixels must have shape"),
            (lambda given: given.update(pixels=given["pixels"][0]), "pixels must have shape"),
            (lambda given: given.update(ids=given["ids"].tolist()), "ids"),
        ],
    )
    def test_a_wrong_input_is_named(self, session: Session, change: Callable[[Arrays], object], told: str) -> None:
        given = inputs(2)
        change(given)
        with pytest.raises(ExecutionError, match=told):
            session.run(given)
        session.run(inputs(2))  # and it did no harm

    def test_a_fixed_batch_is_demanded(self, subject: Subject) -> None:
        session = subject.open(subject.fixed)
        assert_same(session.run(inputs(2)), subject.expected(inputs(2)))
        with pytest.raises(ExecutionError, match="pixels"):
            session.run(inputs(3))
        session.close()

    def test_inputs_that_the_engine_refuses_are_an_error(self, subject: Subject, session: Session) -> None:
        # Each shape alone is allowed, together they are not.
        with pytest.raises(ExecutionError, match=subject.free.name):
            session.run({"pixels": inputs(3)["pixels"], "ids": inputs(2)["ids"]})
        session.run(inputs(2))

    def test_it_is_deterministic(self, session: Session) -> None:
        first, second = session.run(inputs(4)), session.run(inputs(4))
        for name, array in first.items():
            np.testing.assert_array_equal(array, second[name])

    def test_outputs_belong_to_the_caller(self, session: Session) -> None:
        first = session.run(inputs(4))
        kept = {name: array.copy() for name, array in first.items()}
        for array in first.values():
            array += 1000  # type: ignore[misc]
        second = session.run(inputs(4))
        session.run(inputs(4, seed=1))
        for name, array in second.items():
            np.testing.assert_array_equal(array, kept[name])

    def test_eight_threads_get_what_one_gets(self, session: Session) -> None:
        serial = [session.run(inputs(1 + seed % 3, seed=seed)) for seed in range(24)]
        with ThreadPoolExecutor(8) as pool:
            parallel = list(pool.map(lambda seed: session.run(inputs(1 + seed % 3, seed=seed)), range(24)))
        for one, other in zip(serial, parallel, strict=True):
            for name, array in one.items():
                np.testing.assert_array_equal(array, other[name])

    def test_two_sessions_share_nothing(self, subject: Subject) -> None:
        first, second = subject.open(subject.free), subject.open(subject.free)
        first.close()
        assert_same(second.run(inputs(2)), subject.expected(inputs(2)))
        second.close()

    def test_closing_twice_is_harmless_and_running_then_is_an_error(self, session: Session) -> None:
        session.close()
        session.close()
        with pytest.raises(ExecutionError, match="closed"):
            session.run(inputs(1))

    def test_closing_under_load_lets_running_inferences_end(self, subject: Subject) -> None:
        session, wanted = subject.open(subject.free), subject.expected(inputs(2))
        begun, failures = threading.Barrier(9), []

        def loop() -> None:
            begun.wait()
            try:
                while True:
                    assert_same(session.run(inputs(2)), wanted)
            except ExecutionError as error:
                if "closed" not in str(error):
                    failures.append(error)

        threads = [threading.Thread(target=loop, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        begun.wait()
        session.close()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)
        assert not failures

    def test_placement_lists_nodes_and_devices(self, subject: Subject, session: Session) -> None:
        placement = session.placement()
        assert placement.nodes
        assert all(node.op and node.device in subject.runtime.devices() for node in placement.nodes)
        assert placement.counts() == {subject.device: len(placement.nodes)}
        assert session.placement() == placement

    def test_an_unknown_device_is_refused(self, subject: Subject) -> None:
        with pytest.raises(PlacementError, match=r"'abacus'.*only"):
            subject.runtime.open(subject.free, "abacus", ONE_THREAD)

    def test_malformed_models_are_refused(self, subject: Subject) -> None:
        for content in subject.malformed:
            artifact = Artifact("bad.model", subject.free.format, Blob(memoryview(content)))
            with pytest.raises(ExecutionError, match=r"bad\.model"):
                subject.open(artifact)

    def test_a_model_may_be_in_memory_only(self, subject: Subject) -> None:
        assert all(blob.path is None for blob in (subject.in_memory.model, *subject.in_memory.sidecars.values()))
        session = subject.open(subject.in_memory)
        assert_same(session.run(inputs(3)), subject.expected(inputs(3)))
        assert session.placement().nodes
        session.close()

    @pytest.mark.parametrize(
        "settings",
        [
            SessionSettings(),
            SessionSettings(threads=2),
            SessionSettings(threads=1, spinning=False, arena=False),
            SessionSettings(threads=1, allow_cpu=True),
        ],
    )
    def test_settings_do_not_change_the_results(self, subject: Subject, settings: SessionSettings) -> None:
        session = subject.open(subject.free, settings)
        assert_same(session.run(inputs(3)), subject.expected(inputs(3)))
        session.close()


class SidecarContract(RuntimeContract):
    """What a runtime must do besides where a model refers to other files."""

    @pytest.mark.parametrize(
        "location", ["../weights.bin", "/etc/passwd", "nothing.bin", "./weights.bin", "", "weights.bin/../weights.bin"]
    )
    def test_a_model_may_only_point_at_its_sidecars(self, subject: Subject, location: str) -> None:
        assert subject.pointing_at is not None
        with pytest.raises(ExecutionError, match=r"not safe|not well-formed|refused"):
            subject.open(subject.pointing_at(location))

    def test_a_sidecar_that_is_too_short_is_refused(self, subject: Subject) -> None:
        short = {name: replace(blob, view=blob.view[:-1]) for name, blob in subject.free.sidecars.items()}
        with pytest.raises(ExecutionError, match=subject.free.name):
            subject.open(replace(subject.free, sidecars=short))
