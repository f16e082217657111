"""A damaged file is refused before an engine follows its references, and a sound one never is."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import litert_files
import litert_models
from edgekit.errors import ExecutionError
from edgekit.runtimes import litert_engine, litert_verify
from edgekit.runtimes.litert import LiteRt
from edgekit.runtimes.litert_verify import problem
from runtime_contract import ONE_THREAD

NAMES = sorted(path.stem for path in litert_files.FIXTURES.glob("*.tflite"))
WHOLE = bytes(litert_files.artifact("two_inputs").model.view)


@pytest.mark.parametrize("name", NAMES)
def test_a_sound_file_passes(name: str) -> None:
    assert problem(litert_files.artifact(name).model.view) == ""


@pytest.mark.parametrize("name", sorted(litert_models.HAND_MADE))
def test_the_files_are_what_the_helper_makes(name: str) -> None:
    assert bytes(litert_files.artifact(name).model.view) == litert_models.HAND_MADE[name]()


@pytest.mark.parametrize("name", NAMES)
def test_a_file_cut_anywhere_is_refused(name: str) -> None:
    whole = litert_files.artifact(name).model.view
    # A converter may align the end; such bytes belong to nothing.
    for size in range(0, len(whole) - 32, 1 if len(whole) < 3000 else 61):
        assert problem(whole[:size])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not a TensorFlow Lite file"),
        (b"PK\3\4" + bytes(60), "not a TensorFlow Lite file"),
        (b"\xff\xff\xff\xffTFL3", "damaged"),
        (b"\x08\0\0\0TFL3\x10\0\0\0", "Model at byte 8 begins before the file"),
        (struct.pack("<I4sHHi", 12, b"TFL3", 4, 99, 4), "Model at byte 12 is cut off"),
        (struct.pack("<I4sHHi", 12, b"TFL3", 3, 4, 4), "Model at byte 12 is cut off"),
        (struct.pack("<I4sHHHHi", 16, b"TFL3", 6, 4, 9, 0, 8), "Model at byte 16 has fields outside itself"),
    ],
    ids=["empty", "zip", "far", "before", "table-cut", "odd", "field-outside"],
)
def test_what_is_wrong_is_told(content: bytes, told: str) -> None:
    assert told in problem(memoryview(content))


def test_a_table_is_looked_at_once_however_often_it_is_referred_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand references to one graph that has a thousand to one tensor would otherwise take a million steps."""
    graph = litert_models.Graph()
    x = graph.tensor("x", (1,))
    builder = litert_models.flatbuffers.Builder(1024)
    tensor = graph._graph.tensors[x].Pack(builder)
    tensors = _vector(builder, [tensor] * 1000)
    graph._graph.tensors = None
    schema = litert_models.schema
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    schema.SubGraphAddOperators(builder, tensors)
    subgraphs = _vector(builder, [schema.SubGraphEnd(builder)] * 1000)
    schema.ModelStart(builder)
    for add in (schema.ModelAddSubgraphs, schema.ModelAddOperatorCodes, schema.ModelAddBuffers):
        add(builder, subgraphs)
    builder.Finish(schema.ModelEnd(builder), file_identifier=b"TFL3")
    steps, real = [], litert_verify._Check._follow
    monkeypatch.setattr(litert_verify._Check, "_follow", lambda *given: steps.append(1) or real(*given))
    problem(memoryview(bytes(builder.Output())))
    assert 3 <= len(steps) < 20


def _vector(builder: Any, tables: list[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in tables:
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())


def test_a_model_without_a_graph_is_incomplete() -> None:
    # Both engines end the process on it; the field's place in the list is set to "absent".
    data = bytearray(WHOLE)
    (root,) = struct.unpack_from("<I", data)
    fields = root - struct.unpack_from("<i", data, root)[0]
    struct.pack_into("<H", data, fields + 4 + 2 * 2, 0)
    assert problem(memoryview(data)) == f"it is damaged: Model at byte {root} is incomplete"


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(["two_inputs", "converted_dynamic_int8", "quantized"]),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
    size=st.integers(0, 10**6),
)
def test_any_bytes_get_an_answer(name: str, changes: list[tuple[int, int]], size: int) -> None:
    data = bytearray(litert_files.artifact(name).model.view)
    for place, value in changes:
        data[place % len(data)] = value
    assert isinstance(problem(memoryview(data)[: max(size % (2 * len(data)), 8)]), str)


def test_no_engine_gets_a_damaged_file(monkeypatch: pytest.MonkeyPatch) -> None:
    artifact, module = litert_files.in_memory("two_inputs"), litert_engine.find().module
    LiteRt().open(artifact, "cpu", ONE_THREAD).close()
    real, asked = module.Interpreter, []

    def interpreter(**given: Any) -> Any:
        asked.append(bytes(given["model_content"]))
        return real(**given)

    monkeypatch.setattr(module, "Interpreter", interpreter)
    cut = replace(artifact, model=replace(artifact.model, view=artifact.model.view[:-1]))
    with pytest.raises(ExecutionError, match=r"two_inputs\.tflite: LiteRT refused the model: it is damaged"):
        LiteRt().open(cut, "cpu", ONE_THREAD)
    assert all(len(content) < 200 for content in asked)  # at most the one that tries the engine
