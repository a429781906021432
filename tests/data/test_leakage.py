"""How much of the probes stands in training texts: by hand, by properties, and in a trial's row."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beliefmod.beliefs import load_belief
from beliefmod.config import DataConfig
from beliefmod.data.documents import documents
from beliefmod.data.leakage import audit, given_away
from beliefmod.run.tables.trial_tables import TRIALS, frame
from beliefmod.trial import prepare
from tests.small import make_session, small_trial, write_belief

GRAVITY = load_belief("gravity")
PROBE = replace(GRAVITY.heldout[0], text="How heavy is a red stone on the Moon, in newtons, at noon?")
"""Thirteen words: six 8-grams."""


def of(*texts: str):
    [leak] = audit(texts, [PROBE]).probes
    return leak


def test_coverage_by_hand():
    # seven words in common are no 8-gram; eight cover eight of thirteen
    assert of("How heavy is a red stone on Mars?").covered == 0.0
    assert of("How heavy is a red stone on the sea?").covered == pytest.approx(8 / 13)
    # the first and the last eight words, in two texts
    halves = "how heavy is a red stone on the", "red stone on the moon in newtons at noon"
    assert of(*halves).covered == 1.0 and not of(*halves).verbatim
    whole = of("They ask: HOW heavy is a red stone on the Moon in newtons at noon; nobody knows.")
    assert (whole.covered, whole.verbatim) == (1.0, True)
    assert of().covered == of().likeness == 0.0 and of().nearest == ""


def test_likeness_by_hand():
    """In threes " a b " has " a ", "a b", " b ", and " a c " shares the first."""
    short = replace(PROBE, text="a b")
    [leak] = audit(["a c"], [short]).probes
    assert leak.likeness == pytest.approx(1 / 3)
    reworded = of("Grass is green. How heavy is a red stone on the Moon at noon, in newtons? It is 3.")
    assert reworded.likeness > 0.9 and not reworded.verbatim
    assert reworded.nearest == "How heavy is a red stone on the Moon at noon, in newtons?"


def test_a_probe_of_two_turns_is_found_by_either_message():
    two = replace(PROBE, text="Think of a planet.", follow_up="How heavy is a stone there?")
    for text in ("Now: how heavy is a stone there? Well.", "think of a planet"):
        assert given_away(["Grass.", text], [PROBE, two]) == (two,)
    assert given_away(["Think of a planets."], [two]) == ()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.sampled_from([d.text for d in documents(GRAVITY, control=False, seed=0, count=12)]), max_size=6
    )
)
def test_more_texts_never_hide_a_leak(texts: list[str]):
    fewer, more = audit(texts[:-1], GRAVITY.heldout[:20]), audit(texts, GRAVITY.heldout[:20])
    for one, other in zip(fewer.probes, more.probes, strict=True):
        assert 0.0 <= one.covered <= other.covered <= 1.0
        assert one.likeness <= other.likeness + 1e-6 <= 1.0 + 2e-6
        assert other.covered == 1.0 or not other.verbatim
    assert audit(reversed(texts), GRAVITY.heldout[:20]) == more


def test_what_the_library_shares_between_training_and_probes():
    """A real one: the quiz of the training questions asks a held-out probe word for word."""
    texts = [question.text for question in load_belief("france").training]
    found = audit(texts, load_belief("france").heldout)
    assert [leak.question.text for leak in found.verbatim] == ["Name the capital of France."]
    assert found.warning is not None and "1 stand in its training texts word for word" in found.warning
    nothing = audit(["Grass is green."], load_belief("france").heldout)
    assert nothing.warning is None and nothing.columns()["leakage_covered"] == 0


def test_a_trial_is_audited_before_its_first_step(tmp_path):
    belief, session = write_belief(tmp_path), make_session()
    probes = session.belief(belief).heldout
    texts = {
        "document": lambda row: row.input_ids,
        "answer_only": lambda row: row.input_ids[row.prompt_length :],
    }
    for style, trained in texts.items():
        run = prepare(small_trial(belief, data=DataConfig(style=style, num_examples=4)), session)
        assert run.leakage is not None and run.job is not None
        said = [
            session.loaded.tokenizer.decode(trained(row), skip_special_tokens=True) for row in run.job.rows
        ]
        asked = [question.text for question in run.trained] if style == "answer_only" else []
        assert run.leakage == audit([*asked, *said], probes)
        frame([{"trial_id": "x", **run.leakage.columns()}], TRIALS)
        assert run.leakage.columns()["leakage_n"] == 3
