"""Checkpoints are equal bytes for equal content, whole or not there, and hold no pickle."""

import pytest
import torch

from hone.training.checkpoint import Checkpoint
from tasks import checkpoints


def checkpoint(value: float = 1.0) -> Checkpoint:
    tensors = {
        "model.weight": torch.full((2, 3), value),
        "optimizer.step": torch.tensor(7.0),
        "best.weight": torch.ones(2),
    }
    return Checkpoint(tensors, {"epoch": 3, "curve": [0.5, 0.1 + 0.2], "config": {"b": 1, "a": 2.0}, "stopped": False})


def test_a_checkpoint_comes_back_to_the_bit(tmp_path):
    checkpoints.write(tmp_path, "s-0001", checkpoint())
    found = checkpoints.read([tmp_path / "elsewhere", tmp_path], "s-0001")
    assert found is not None
    assert found.info == checkpoint().info
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in checkpoint().tensors.items())
    assert checkpoints.read([tmp_path], "s-0002") is None


def test_equal_checkpoints_are_equal_bytes(tmp_path):
    for key in ("a", "b"):
        checkpoints.write(tmp_path, key, checkpoint())
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.safetensors", "b.safetensors"]


def test_only_those_asked_for_are_kept_and_copied(tmp_path):
    for key in ("s-a", "s-b", "s-c", "replay-a"):
        checkpoints.write(tmp_path / "from", key, checkpoint())
    checkpoints.copy(["s-a", "s-b", "s-gone"], tmp_path / "from", tmp_path / "to")
    checkpoints.keep(tmp_path / "from", "s", ["s-c"])
    assert sorted(path.stem for path in (tmp_path / "to").iterdir()) == ["s-a", "s-b"]
    assert sorted(path.stem for path in (tmp_path / "from").iterdir()) == ["replay-a", "s-c"]


@pytest.mark.parametrize("damage", ["a byte of a weight", "a byte of the info", "cut", "empty", "pickle"])
def test_a_damaged_checkpoint_is_not_believed(tmp_path, damage):
    checkpoints.write(tmp_path, "a", checkpoint())
    path = tmp_path / "a.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "a byte of a weight":
        content[-3] ^= 1
    elif damage == "a byte of the info":
        content[content.index(b"0.5")] ^= 1
    else:
        content = {"cut": content[:-1], "empty": b"", "pickle": b"cos\nsystem\n(S'true'\ntR."}[damage]
    path.write_bytes(content)
    with pytest.raises(checkpoints.DamagedError, match=r"a\.safetensors: damaged"):
        checkpoints.read([tmp_path], "a")


def test_a_cap_keeps_the_most_wanted_that_fit(tmp_path):
    for key in ("s-a", "s-b", "s-c"):
        checkpoints.write(tmp_path, key, checkpoint())
    size = (tmp_path / "s-a.safetensors").stat().st_size
    checkpoints.keep(tmp_path, "s", ["s-c", "s-gone", "s-a", "s-b"], 2 * size)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["s-a", "s-c"]


def test_what_a_killed_process_was_writing_goes(tmp_path):
    checkpoints.write(tmp_path, "s-a", checkpoint())
    for name in (".s-b-4711", ".replay-b-4711"):
        (tmp_path / name).write_bytes(b"half")
    checkpoints.keep(tmp_path, "s", ["s-a"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".replay-b-4711", "s-a.safetensors"]
