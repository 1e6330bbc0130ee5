"""Encoded rows in files: made once, whole or made anew, and to a training the same as rows in memory."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from hone import models
from hone.data import problem as problems
from hone.data import schema as schemas
from hone.training.train import Settings, train
from tasks import encoded, trainables


def data(target="y", n=60):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"a": random.normal(size=n), "b": random.normal(size=n), "c": random.choice(["x", "y"], n)})
    frame["y"] = np.where(frame["a"] + (frame["c"] == "x") > 0.5, "up", "down")
    frame["z"] = frame["a"] * 3 + 1
    problem = problems.infer(frame[target])
    schema = schemas.infer(frame, target, drop=["z" if target == "y" else "y"])
    return trainables.encoded(frame.iloc[:40], frame.iloc[40:], schema, problem, "standard")


class Counting:
    def __init__(self, made):
        self.made, self.calls = made, 0

    def __call__(self):
        self.calls += 1
        return self.made


@pytest.mark.parametrize("target", ["y", "z"])
def test_rows_are_encoded_once_and_train_to_the_same_bits(target, tmp_path):
    encode = Counting(data(target))
    first, second = encoded.shared(tmp_path / "rows", encode), encoded.shared(tmp_path / "rows", encode)
    assert encode.calls == 1
    assert isinstance(second.train.x_num, np.memmap)
    config = models.default_space("mlp").default
    settings = Settings(epochs=3, metric=encode.made.problem.metric)
    found = [train(config, "mlp", rows, settings, resource=3, seed=1) for rows in (encode.made, first, second)]
    for outcome, checkpoint in found[1:]:
        assert outcome == found[0][0]
        for name, tensor in checkpoint.tensors.items():
            assert tensor.equal(found[0][1].tensors[name]), name


def test_rows_without_any_to_validate_on_stay_so(tmp_path):
    whole = data()
    alone = type(whole)(train=whole.train, validation=None, problem=whole.problem, inputs=whole.inputs)
    assert encoded.shared(tmp_path, lambda: alone).validation is None


def test_what_a_kill_left_half_made_is_made_anew(tmp_path):
    whole = data()

    class Killed(BaseException):
        pass

    def killed():
        (tmp_path / "train.x_num.npy").write_bytes(b"half")
        raise Killed

    with pytest.raises(Killed):
        encoded.shared(tmp_path, killed)
    found = encoded.shared(tmp_path, lambda: whole)
    assert found.train.x_num.tobytes() == whole.train.x_num.tobytes()


def test_who_comes_while_another_encodes_waits_for_it(tmp_path):
    encode = Counting(data())
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: encoded.shared(tmp_path, encode), range(8)))
    assert encode.calls == 1
    assert {rows.train.y.tobytes() for rows in found} == {encode.made.train.y.tobytes()}
