"""The house holds: imports run downwards, and dvc.yaml names every module that can change what a stage writes."""

import ast
from pathlib import Path

import pytest

from tasks import pipeline

ROOT = Path(__file__).parent.parent
FLOORS = ("hone", "tasks", "flows")
BANNED = {"hone": {"prefect", "mlflow", "dvc", "yaml"}, "tasks": {"prefect"}, "flows": set()}

# These carry values to a stage or watch it; what it writes does not depend on them.
WATCHERS = ("tasks/stage.py", "tasks/reporting.py", "tasks/tracking/")
# Validation can stop a stage and not change what it writes, so what params.py imports for it does not count.
LEAVES = {"tasks/params.py"}


def imported(path: Path) -> set[str]:
    """Return the dotted names a module imports, at any depth; of `from a import b`, both a and a.b."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def module_file(name: str) -> str | None:
    base = ROOT.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path.relative_to(ROOT).as_posix()
    return None


def reached(start: str) -> set[str]:
    """Return every file of hone/ and tasks/ that a module of the project imports, directly or not."""
    seen, waiting = set(), [start]
    while waiting:
        file = waiting.pop()
        if file in seen or file.startswith(WATCHERS):
            continue
        seen.add(file)
        if file in LEAVES:
            continue
        files = (module_file(name) for name in imported(ROOT / file) if name.split(".")[0] in FLOORS)
        waiting += [found for found in files if found]
    return seen


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_run_downwards(floor):
    above = set(FLOORS[FLOORS.index(floor) + 1 :]) | BANNED[floor]
    for path in sorted((ROOT / floor).rglob("*.py")):
        upward = {name for name in imported(path) if name.split(".")[0] in above}
        assert not upward, f"{path.relative_to(ROOT)} imports {sorted(upward)}"


@pytest.mark.parametrize("stage", pipeline.specs(ROOT))
def test_dvc_yaml_names_all_code_of_a_stage(stage):
    deps = pipeline.specs(ROOT)[stage].deps
    missing = {
        file
        for file in reached(f"tasks/{stage}.py")
        if not any(file == dep or file.startswith(f"{dep}/") for dep in deps)
        if file not in ("hone/__init__.py", "tasks/__init__.py")  # nothing in them
    }
    assert not missing, f"dvc.yaml, {stage}: deps lack {sorted(missing)}"


@pytest.mark.parametrize("stage", pipeline.specs(ROOT))
def test_dvc_yaml_names_no_code_that_a_stage_does_not_use(stage):
    files = reached(f"tasks/{stage}.py")
    code = [dep for dep in pipeline.specs(ROOT)[stage].deps if dep.split("/")[0] in FLOORS]
    idle = [dep for dep in code if not any(file == dep or file.startswith(f"{dep}/") for file in files)]
    assert not idle, f"dvc.yaml, {stage}: deps name {idle}, which it does not import"


@pytest.mark.parametrize("stage", pipeline.specs(ROOT))
def test_only_evaluate_may_read_the_sealed_rows(stage):
    deps = pipeline.specs(ROOT)[stage].deps
    sealed = [dep for dep in deps if dep.startswith("data/split/sealed") or "data/split/sealed".startswith(f"{dep}/")]
    assert bool(sealed) == (stage == "evaluate")


def test_stage_names_are_modules_commands_and_sections():
    import yaml

    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name, stage in stages.items():
        assert stage["cmd"] == f"python -m tasks.run {name}"
        assert (ROOT / "tasks" / f"{name}.py").is_file()
        for key in stage["params"]:
            pipeline.lookup(params, key)
