"""Checkpoints are equal bytes for equal content, whole or not there, and hold no pickle."""

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
    for key in ("a", "b", "c"):
        checkpoints.write(tmp_path / "from", key, checkpoint())
    checkpoints.copy(["a", "b", "gone"], tmp_path / "from", tmp_path / "to")
    checkpoints.keep(tmp_path / "from", ["c"])
    assert sorted(path.stem for path in (tmp_path / "to").iterdir()) == ["a", "b"]
    assert sorted(path.stem for path in (tmp_path / "from").iterdir()) == ["c"]
