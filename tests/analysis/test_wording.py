"""Every setting has one plain label."""

from analysis.wording import SETTING_NAMES, listed, setting_text
from beliefmod.config import leaf_fields


def test_every_setting_has_one_label_of_its_own() -> None:
    named = {*leaf_fields()} - {"belief", "arm", "seed"}
    assert {*SETTING_NAMES} == named
    assert len({*SETTING_NAMES.values()}) == len(named) and not any("_" in x for x in SETTING_NAMES.values())


def test_a_configuration_is_named_by_labels_alone() -> None:
    row = {
        "data.style": "own_trace",
        "objective.name": "dpo",
        "objective.dpo_beta": 1.0,
        "data.replay_ratio": 0.5,
    }
    assert setting_text(row, list(row)) == "own_trace, objective dpo, DPO beta 1, replay 0.5"


def test_words_in_a_row() -> None:
    words = ["a", "b", "c"]
    assert [listed(words[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
