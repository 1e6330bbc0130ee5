"""`hone start-from`: weights from a folder, a project, a file or the registry, and what is refused."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml

from flows import cli
from flows import start_from as command
from flows.start_from import copy
from hone import models
from hone.data import preprocessing
from hone.errors import UserError
from hone.models import InputSpec
from tasks import model_store, registry, split, start_from
from tasks.params import load_params, search_space
from tests.flows.editing import change
from tests.flows.test_add import everything
from tests.tasks import small_model

WINE = InputSpec(13, (), 3, ((0.0, 1.0),) * 13)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state dict of a network for wine, as anybody may have trained one."""
    config = {**models.default_space("mlp").default, "embedding": "none"}
    path = tmp_path / "my net.safetensors"
    safetensors.torch.save_file(models.build("mlp", config, WINE, seed=0).state_dict(), path)
    return path


def test_a_state_dict_is_copied_and_named_and_check_says_what_fits(
    project: Path, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(project, "  space: {} ", "  space: {embedding: none} ")
    before = (project / "params.yaml").read_text().splitlines()
    assert cli.main(["start-from", str(state)]) == 0
    assert load_params(project).model.start_from == "data/start_from/my_net.safetensors"
    changed = [line for line in (project / "params.yaml").read_text().splitlines() if line not in before]
    assert [line.split("#")[0].strip() for line in changed] == ["start_from: data/start_from/my_net.safetensors"]
    assert "#" in changed[0]  # the comment is still there
    capsys.readouterr()
    assert cli.main(["check"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "networks start from layers.0.weight, layers.0.bias, layers.3.weight" in said
    after = everything(project)
    copy(project, str(state), None)
    assert everything(project) == after


def test_check_says_how_many_rows_that_judge_the_former_weights_saw(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checked = split.check(project, load_params(project))
    seen = checked.frame.iloc[[*checked.split.train, *checked.split.test[:9]]]
    preprocessor = preprocessing.fit(seen, checked.schema, checked.problem)
    inputs = models.inputs_of(preprocessor.transform(seen), checked.problem, preprocessor.cardinalities)
    config = {**models.default_space("mlp").default, "embedding": "none"}
    model_store.save(
        tmp_path / "wine",
        networks=[model_store.Network("mlp", config, models.build("mlp", config, inputs, 0).state_dict())],
        inputs=inputs,
        preprocessor=preprocessor,
        seen=preprocessor.fingerprints(seen),
    )
    copy(project, str(tmp_path / "wine"), None)
    change(project, "  space: {} ", "  space: {embedding: none} ")
    assert cli.main(["check"]) == 0
    told = capsys.readouterr()
    said = " ".join((told.out + told.err).split())
    assert f"the former weights were trained on 9 of {len(checked.split.test)} test rows" in said
    assert "validation rows (" not in said


def test_a_models_folder_a_project_and_the_registry_give_the_same_weights(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import contextlib

    folder = small_model.write(tmp_path / "houses" / "artifacts" / "retrain" / "model", "binary")
    monkeypatch.setattr(registry, "opened", lambda root, tracking, name: contextlib.nullcontext(folder))
    sources = [str(folder), str(tmp_path / "houses"), "models:/hone@champion"]
    places = [copy(project, source, None) for source in sources]
    assert [place.name for place in places] == ["houses.safetensors"] * 2 + ["hone-champion.safetensors"]
    assert places[0].read_bytes() == places[2].read_bytes()
    params = load_params(project)
    space = search_space(params, start_from.former(project, params.model.start_from))
    assert str(space.domains["units_1"]) == "128"


@pytest.mark.parametrize(
    ("source", "name", "said"),
    [
        ("nowhere", None, r"nowhere: holds no weights; give a model's folder"),
        ("text.safetensors", None, r"text\.safetensors: not a file of safetensors"),
        ("my net.safetensors", "../away", r"^--name: '\.\./away' is no name for a file"),
        ("my net.safetensors", "taken", r"^data/start_from/taken\.safetensors: holds something else; .* --name"),
        ("broken", None, r"model\.json: not a model's description \(KeyError"),
        ("models:/hone@champion", None, r"^models:/hone@champion: tracking is off"),
        ("strange", None, r"^model\.start_from: the model's own config cannot be used: search\.space\.activation"),
    ],
)
def test_a_source_that_cannot_be_used_leaves_everything_as_it_was(
    source: str, name: str | None, said: str, project: Path, state: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.safetensors").write_text("no weights")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.json").write_text("{}")
    (tmp_path / "broken" / "model.safetensors").write_bytes(state.read_bytes())
    strange = small_model.write(tmp_path / "strange", "binary")
    text = (strange / "model.json").read_text()
    (strange / "model.json").write_text(text.replace('"activation": "relu"', '"activation": "tahn"'))
    (project / "data" / "start_from").mkdir(parents=True)
    (project / "data" / "start_from" / "taken.safetensors").write_bytes(b"other")
    before = everything(project)
    with pytest.raises(UserError, match=said) as refusal:
        copy(project, source if source.startswith("models:") else str(tmp_path / source), name)
    assert "\n" not in str(refusal.value)
    assert everything(project) == before


def test_check_refuses_weights_that_fit_nowhere(project: Path, tmp_path: Path) -> None:
    safetensors.torch.save_file({"conv.weight": torch.ones(3, 3)}, tmp_path / "conv.safetensors")
    copy(project, str(tmp_path / "conv.safetensors"), None)
    assert cli.main(["check"]) == 2


def test_a_file_that_params_name_and_that_is_missing_is_copied_there(project: Path, state: Path) -> None:
    change(project, "start_from:      ", "start_from: data/start_from/net.safetensors ")
    with pytest.raises(UserError, match=r"there is no such file; `hone start-from SOURCE` copies"):
        load_params(project)
    copy(project, str(state), "net")
    assert yaml.safe_load((project / "params.yaml").read_text())["model"]["start_from"].endswith("net.safetensors")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("models:/hone@champion", "hone-champion"),
        ("models:/hone/3", "hone-3"),
        ("/elsewhere/houses/artifacts/retrain/model", "houses"),
        ("/elsewhere/net.v2.safetensors", "net.v2"),
        ("/", "earlier"),
    ],
)
def test_a_name_says_where_the_weights_come_from(source: str, name: str) -> None:
    assert command._derived(source) == name
