"""What a stage calls its trials where people see them."""

import pytest

from hone.trial import Result, State, Trial
from tasks.stage import shown


def trial(study: str, number: int, config: dict, origin: str = "random", **more: int) -> Trial:
    return Trial(study=study, number=number, generation=0, config=config, resource=3, origin=origin, **more)


SO_FAR = [
    Result(trial=each, state=State.COMPLETE)
    for each in (
        trial("search_random", 0, {"a": 1}, "default"),
        trial("search_random", 3, {"a": 2}),
        trial("search_bayes", 12, {"a": 3}, "surrogate"),
        trial("search_hyperband", 1, {"a": 3}, "promoted"),
        trial("replay", 0, {"a": 4}, "replay", replicate=1),
    )
]


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (SO_FAR[0].trial, "random 0"),
        (SO_FAR[2].trial, "bayes 12"),
        (SO_FAR[3].trial, "hyperband 1"),
        (trial("replay", 1, {"a": 1}, "replay", replicate=2), "replay: defaults, seed 2"),
        (trial("replay", 2, {"a": 3}, "replay", replicate=1), "replay: bayes 12, seed 1"),
        (trial("replay", 3, {"a": 2}, "replay", replicate=1, fold=4), "replay: random 3, seed 1, fold 4"),
        (trial("replay", 4, {"a": 4}, "replay", replicate=2), "replay: defaults, seed 2"),
    ],
)
def test_trials_are_named_by_phase_and_number_and_replays_by_what_they_repeat(asked: Trial, name: str) -> None:
    assert shown(asked, SO_FAR) == name
