"""params.yaml is checked as a whole, and every refusal names the key, the value and the remedy."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from hone.errors import UserError
from tasks.params import Params, load_params, parse_params
from tasks.quantities import seconds

ROOT = Path(__file__).parents[2]


def test_the_projects_own_params_hold_the_defaults():
    assert load_params(ROOT) == Params()


def test_every_key_inside_a_section_may_be_left_out():
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert parse_params(dict.fromkeys(content)) == Params()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"sede": 1}, "params.yaml: sede: unknown key; did you mean `seed`?"),
        ({"data": {"sorce": "x.csv"}}, "params.yaml: data.sorce: unknown key; did you mean `source`?"),
        (
            {"search": {"random": {"zzz": 1}}},
            "params.yaml: search.random.zzz: unknown key; keys here are sampler, share",
        ),
        ({"seed": "one"}, "params.yaml: seed: 'one' must be a valid integer"),
        ({"seed": -1}, "params.yaml: seed: -1 must be greater than or equal to 0"),
        ({"data": {"task": "binry"}}, "params.yaml: data.task: 'binry' must be 'auto', 'binary', 'multiclass' or"),
        ({"data": {"task": "binry"}}, "did you mean 'binary'?"),
        ({"data": 3}, "params.yaml: data: 3 must be a valid dictionary"),
        ({"data": {"drop": "id"}}, "params.yaml: data.drop: 'id' must be a valid list"),
        ({"train": {"epochs": 5.5}}, "params.yaml: train.epochs: 5.5 must be a valid integer"),
        ({"split": {"test": 0}}, "params.yaml: split.test: 0 must be greater than 0"),
        ({"split": {"test": 0.5, "validation": 0.5}}, "split: validation 0.5 + test 0.5 leave no rows to train on"),
        ({"split": {"method": "grouped"}}, "split.group: null, but split.method is grouped; name the column"),
        ({"split": {"method": "time"}}, "split.time: null, but split.method is time; name the column"),
        ({"split": {"folds": 1}}, "split.folds: 1 fold holds out everything"),
        ({"split": {"objective": "fold"}}, "split.objective: 'fold' must be 'holdout' or 'folds'; did you mean"),
        ({"split": {"objective": "reshuffled"}}, "split.objective: 'reshuffled' must be 'holdout' or 'folds'"),
        ({"retrain": {"ensemble": "auto"}}, "retrain.ensemble: 'auto' must be 'one', 'seeds' or 'greedy'"),
        (
            {"split": {"objective": "folds"}},
            "split.objective: folds, but split.folds is 0; set split.folds (to 5, say)",
        ),
        (
            {"split": {"objective": "folds", "folds": 5}, "budget": {"epochs": 600}},
            "hyperband.share 0.4 = 240 epochs, below the 270 of one trial over 5 folds; raise it to at least 675",
        ),
        ({"split": {"gap": 5}}, "split.gap: 5 lies between older and newer rows, but the split is not by time; set"),
        (
            {"split": {"gap": "7d", "method": "random", "time": "day"}},
            "split.gap: 7d lies between older and newer rows",
        ),
        ({"split": {"gap": "soon", "time": "day"}}, "split.gap: 'soon' is not a duration such as 90s, 10m or 1h30m"),
        ({"split": {"gap": -1, "time": "day"}}, "split.gap: -1 must be a number of rows, or a duration such as 12h"),
        ({"train": {"stopping": "appart"}}, "train.stopping: 'appart' must be 'validation' or 'apart'; did you mean"),
        ({"train": {"stopping_rows": 1.0}}, "train.stopping_rows: 1.0 must be less than 1"),
        ({"data": {"metric": "acuracy"}}, "data.metric: there is no metric 'acuracy'; did you mean accuracy?"),
        ({"data": {"metric": "rmse", "task": "binary"}}, "data.metric: rmse does not fit a binary task"),
        ({"model": {"family": "mpl"}}, "model.family: 'mpl' is unknown; did you mean 'mlp'?"),
        ({"model": {"family": "no_such_module:make"}}, "model.family: 'no_such_module:make'"),
        (
            {"search": {"bayes": {"sampler": "tep"}}},
            "search.bayes.sampler: 'tep' must be 'curves', 'tpe' or 'gp'; did you mean",
        ),
        ({"search": {"random": {"epochs": 99}}}, "search.random.epochs: 99 is above train.epochs 54"),
        ({"search": {"hyperband": {"min_epochs": 60}}}, "search.hyperband.min_epochs: 60 is above train.epochs 54"),
        ({"search": {"random": {"share": 0.9}}}, "search.*.share: the phases' shares add up to 1.8"),
        ({"search": {"hyperband": {"entrants": 33}}}, "search.hyperband.entrants: 33 must be less than or equal to 32"),
        ({"budget": {"epochs": 0}}, "params.yaml: budget.epochs: 0 must be greater than 0"),
        ({"budget": {"epochs": 100}}, "budget.epochs: 100 × search.hyperband.share 0.4 = 40 epochs, below the 54"),
        (
            {"budget": {"epochs": 150}, "search": {"hyperband": {"share": 0.35}}},
            "below the 54 of one trial; raise it to at least 155",  # 154 × 0.35 is less
        ),
        ({"budget": {"time_limit": "soon"}}, "budget.time_limit: 'soon' is not a duration such as 90s, 10m or 1h30m"),
        ({"budget": {"time_limit": "0m"}}, "budget.time_limit: '0m' must be longer than nothing"),
        ({"execution": {"workers": 0}}, "params.yaml: execution.workers: 0 must be"),
        ({"search": {"space": {"dropout": {"type": "float", "low": 0.5, "high": 0.1}}}}, "search.space.dropout"),
        (
            {"search": {"space": {"learning_rate": {"type": "float", "low": 0, "high": 0.1, "log": True}}}},
            "search.space.learning_rate",
        ),
        ({"search": {"space": {"activation": {"type": "categorical", "choices": []}}}}, "search.space.activation"),
        ({"search": {"space": {"lerning_rate": 0.1}}}, "search.space.lerning_rate"),
        (
            {"search": {"space": {"learning_rate": -1}}},
            "learning_rate: -1.0 cannot be; it must be",
        ),
        (
            {"search": {"space": {"batch_size": {"type": "int", "low": 0, "high": 8}}}},
            "batch_size: 0 cannot be",
        ),
        (
            {"search": {"space": {"dropout": {"type": "float", "low": 0, "high": 2}}}},
            "space.dropout: 2.0 cannot be",
        ),
        ({"budget": {"epochs": float("inf")}}, "budget.epochs: inf must be a finite number"),
    ],
)
def test_a_refusal_names_key_value_and_remedy(content, message):
    with pytest.raises(UserError) as refusal:
        parse_params(content)
    assert message in str(refusal.value)
    assert str(refusal.value).count("\n") <= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: [", "params.yaml: not valid YAML"),
        (
            "seed: 0\ntrain:\n  patience 12\n  epochs: 54\n",
            "(line 4, column 9: mapping values are not allowed here; the mistake may be on the line before)",
        ),
        (
            "seed: 0\nseed: 1\n",
            "(line 2, column 1: the key 'seed' stands there twice; remove one of them)",
        ),
        ("- a\n- b\n", "params.yaml: holds a list; it must hold sections such as `data:`"),
    ],
)
def test_a_file_that_is_no_params_is_named(tmp_path, text, message):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=re.escape(message)):
        load_params(tmp_path)


def test_params_that_are_not_utf8_are_named(tmp_path):
    (tmp_path / "params.yaml").write_bytes(b"seed: 0 # \xff\n")
    with pytest.raises(UserError, match="not UTF-8 at byte 10"):
        load_params(tmp_path)


def test_a_key_that_dvc_needs_may_not_be_missing(tmp_path):
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    del content["search"]["space"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"search\.space: missing, and dvc\.yaml has it among the params of budget"):
        load_params(tmp_path)


def test_a_number_with_an_exponent_is_a_number(tmp_path):
    (tmp_path / "params.yaml").write_text("budget:\n  epochs: 2e3\n")
    assert load_params(tmp_path).budget.epochs == 2000.0


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400), ("7d", 604800)]
)
def test_durations_are_read(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nseed: 2\n", "line 2, column 1: the key 'seed' stands there twice; remove one of them"),
        ("data: {drop: [a], drop: [b]}\n", "the key 'drop' stands there twice"),
        ("seed: !!int x\n", "line 1, column 7: 'x' is no int"),
        ("seed: !!timestamp 2024-01-01\n", "the tag '!!timestamp' is not read; write plain values"),
        ("data: &a {kinds: *a}\n", "it holds itself by an alias"),
        ("a: " + "[" * 40 + "]" * 40, "it is nested too deeply"),
        ("[" * 5000, "params.yaml: nested too deeply"),
        (f"seed: {10**30}\n", "is too large a number; at most 9223372036854775807"),
        (f"seed: {'9' * 5000}\n", "is no int"),
        (f"seed: 0x{'f' * 4000}\n", "is too large a number"),
        ('report: {title: "\\ud800"}\n', "holds a character that no file can hold"),
        ('report: {title: "\\0"}\n', "holds a character that no file can hold"),
        ("a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40)), "100,000 values"),
        ("1: 2\n", "params.yaml: 1: unknown key; keys here are seed, data"),
        ('"a\\nb": 2\n', "params.yaml: a\\nb: unknown key"),
        (f"data: {{source: {'x' * 300}}}\n", "is too long for a path; a name has at most 255 bytes"),
        ("data: {source: ''}\n", "data.source: '' must not be empty"),
        (
            "data: {positive: []}\n",
            "data.positive: [] must be a valid string or a valid integer or a valid number or a",
        ),
        ("budget: {time_limit: 99999999999d}\n", "is longer than a hundred years"),
        ("train: {epochs: 2000000000}\n", "must be less than or equal to 1000000000"),
        (
            "search: {space: {learning_rate: {type: float, low: -1.0e308, high: 1.0e308}}}\n",
            "is too large; stay within",
        ),
        ("search: {space: {learning_rate: {type: [float], low: 0, high: 1}}}\n", "type ['float'] is unknown"),
        ("search: {space: {learning_rate: .nan}}\n", "nan is no value; give a text, a finite number, true or false"),
        (
            "search: {space: {dropout: {type: float, low: 0, high: .5, when: {1: [2]}}}}\n",
            "1 is no hyperparameter's name",
        ),
        ("search: {space: {'': 1}}\n", "must be a name of at most 255 characters that can be shown"),
        (
            "search: {space: {dropout: {type: float, low: 0, high: .5, when: {optimizer: [[1]]}}}}\n",
            "[1] is no value; list texts, finite numbers, true or false",
        ),
    ],
)
def test_what_is_more_than_plain_values_is_refused_in_a_line(tmp_path, text, message):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError) as refusal:
        load_params(tmp_path)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value) or text.startswith("a0")


def test_a_date_is_text_since_a_column_may_be_called_so(tmp_path):
    (tmp_path / "params.yaml").write_text("data:\n  drop: [2024-01-01, =]\n")
    assert load_params(tmp_path).data.drop == ["2024-01-01", "="]


def test_a_folder_and_a_mark_of_byte_order_are_no_tracebacks(tmp_path):
    (tmp_path / "params.yaml").write_bytes(b"\xef\xbb\xbfseed: 3\n")
    assert load_params(tmp_path).seed == 3
    (tmp_path / "params.yaml").unlink()
    (tmp_path / "params.yaml").mkdir()
    with pytest.raises(UserError, match=r"cannot be read in .*it must be a file"):
        load_params(tmp_path)


def test_params_yaml_keeps_every_other_line_when_dvc_sets_one(tmp_path: Path) -> None:
    """As `dvc exp run -S` does."""
    from dvc.utils.serialize import modify_yaml

    before = (Path(__file__).parents[2] / "params.yaml").read_text()
    path = tmp_path / "params.yaml"
    path.write_text(before)
    with modify_yaml(str(path)) as content:
        content["train"]["epochs"] = 9
    assert path.read_text() == before.replace("epochs: 54 ", "epochs: 9  ", 1)
