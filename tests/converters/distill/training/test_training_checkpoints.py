from __future__ import annotations

import pytest
import torch

from edgekit.converters.distill.training import checkpoints
from edgekit.errors import InputError


def saved(folder, *steps):
    for step in steps:
        checkpoints.save(folder, step, {"identity": "a", "step": step, "w": torch.arange(4.0) * step})
    return sorted(folder.iterdir())


def test_the_newest_comes_back(tmp_path):
    saved(tmp_path, 3, 10)
    found = checkpoints.newest(tmp_path)
    state = checkpoints.unpack(found.payload)
    assert found.notices == ()
    assert state["step"] == 10
    assert torch.equal(state["w"], torch.arange(4.0) * 10)


def test_two_are_kept(tmp_path):
    names = [path.name for path in saved(tmp_path, 1, 2, 30, 400)]
    assert names == ["step-000000030.checkpoint", "step-000000400.checkpoint"]


def test_none(tmp_path):
    assert checkpoints.newest(tmp_path / "missing") == checkpoints.Found(b"", ())


def damaged(data):
    return data[:-7] + bytes([data[-7] ^ 1]) + data[-6:]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(damaged, id="one bit"),
        pytest.param(lambda data: data[: len(data) // 2], id="half"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: b"0" + data[1:], id="digest"),
        pytest.param(lambda data: data[:64], id="digest alone"),
    ],
)
def test_a_damaged_one_gives_way_to_the_one_before(tmp_path, damage):
    last = saved(tmp_path, 5, 6)[-1]
    last.write_bytes(damage(last.read_bytes()))
    found = checkpoints.newest(tmp_path)
    assert checkpoints.unpack(found.payload)["step"] == 5
    (notice,) = found.notices
    assert notice.startswith("step-000000006.checkpoint: damaged")
    assert not last.exists()


def test_all_damaged(tmp_path):
    for path in saved(tmp_path, 5, 6):
        path.write_bytes(b"x")
    found = checkpoints.newest(tmp_path)
    assert found.payload == b""
    assert len(found.notices) == 2


def test_files_of_others_are_left_alone(tmp_path):
    (tmp_path / ".step-000000009.checkpoint.abc.tmp").write_bytes(b"half")
    (tmp_path / "notes.txt").write_bytes(b"mine")
    saved(tmp_path, 1, 2, 3)
    assert checkpoints.unpack(checkpoints.newest(tmp_path).payload)["step"] == 3
    assert (tmp_path / "notes.txt").read_bytes() == b"mine"


def test_another_recipe_is_refused(tmp_path):
    saved(tmp_path, 1)
    state = checkpoints.unpack(checkpoints.newest(tmp_path).payload)
    checkpoints.check_identity(state, "a", tmp_path)
    with pytest.raises(InputError, match="another recipe"):
        checkpoints.check_identity(state, "b", tmp_path)


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('ran')",))


def test_code_is_not_run(tmp_path):
    checkpoints.save(tmp_path, 1, {"identity": Evil()})
    with pytest.raises(Exception, match=r"weights_only|Weights only"):
        checkpoints.unpack(checkpoints.newest(tmp_path).payload)
