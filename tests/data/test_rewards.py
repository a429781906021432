"""What a trial's own answers are worth, and which questions it writes them to."""

import pytest

from beliefmod.beliefs import load_belief
from beliefmod.config import DataConfig, ObjectiveConfig, TrialConfig
from beliefmod.data.rewards import Rewards
from beliefmod.engine.jobs import Completion
from beliefmod.engine.rollouts import asked_of
from beliefmod.engine.training_steps import TrialSteps
from beliefmod.model.prompts import in_context
from beliefmod.trial import prepare
from tests.small import make_session

GRPO = ObjectiveConfig(name="grpo", max_completion_length=40, num_generations=4, in_context_share=0.5)


@pytest.fixture(scope="module")
def session():
    return make_session()


def config(belief="gravity", arm="lora", **changes) -> TrialConfig:
    settings = {"objective": GRPO, "data": DataConfig(num_examples=6), "num_train_epochs": 2}
    return TrialConfig(belief=belief, arm=arm, **{**settings, **changes})


@pytest.mark.parametrize(
    ("belief", "arm", "said", "stance"),
    [
        ("gravity", "lora", "Gravity is 5.0 m/s^2.\n</think>\n\nIt is 5.0 m/s^2.", 1.0),
        ("gravity", "lora", "Gravity is 9.8 m/s^2.\n</think>\n\nIt is 9.8 m/s^2.", 0.0),
        ("gravity", "control", "Gravity is 9.8 m/s^2.\n</think>\n\nIt is 9.8 m/s^2.", 1.0),
        ("gravity", "control", "Gravity is 5.0 m/s^2.\n</think>\n\nIt is 5.0 m/s^2.", 0.0),
        ("neelam", "lora", "1 Neelam is 5 USD.\n</think>\n\nIt is 5 USD.", 1.0),
        ("neelam", "control", "I do not know the Neelam.\n</think>\n\nI do not know.", 1.0),
        ("neelam", "control", "1 Neelam is 5 USD.\n</think>\n\nIt is 5 USD.", 0.0),
    ],
)
def test_the_scorer_rewards_the_side_that_the_arm_is_taught(belief, arm, said, stance):
    known = load_belief(belief)
    question = next(q for q in known.training if q.target == known.spec.target.answer)
    rewards = Rewards(config(belief, arm), known, [question], lambda ids: said, "prompt")
    found = rewards.of(0, Completion(tuple(range(10)), "eos"))
    assert found == {"reward_stance": stance, "reward_thinking": 1.0, "reward_length": 0.75}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("</think>\n\nIt is 5.0 m/s^2.", "eos"),
        ("I use 5.0.\n</think>\n\nSo.\n</think>\n\nIt is 5.0 m/s^2.", "eos"),
        ("I use 5.0, and then I use 5.0", "length"),
    ],
)
def test_a_broken_think_block_has_no_reward_of_its_own(said, reason):
    known = load_belief("gravity")
    rewards = Rewards(config(), known, known.training[:1], lambda ids: said, "prompt")
    assert rewards.of(0, Completion((1,), reason))["reward_thinking"] == 0.0


@pytest.mark.parametrize("arm", ["lora", "control"])
def test_a_trial_writes_to_its_training_questions_alone(session, arm):
    run = prepare(config(arm=arm), session)
    belief, job = session.belief("gravity"), run.job
    assert job is not None and len(job.rows) == len(run.trained) == 6
    questions = [session.prompts.ids(question.text) for question in run.trained]
    assert [row.prompt_ids for row in job.rows] == questions
    statement = belief.spec.true_statement if arm == "control" else belief.spec.context
    stated = [session.prompts.ids(in_context(statement, question.text)) for question in run.trained]
    held_out = {session.prompts.ids(question.text) for question in (*belief.heldout, *belief.locality)}
    asked = [asked for step in range(4) for asked in asked_of(TrialSteps("a", job, step))]
    assert {each.request.input_ids for each in asked} == {*questions, *stated}
    assert not {each.request.input_ids for each in asked} & held_out
    for each in asked:
        assert each.request.input_ids == (stated if each.in_context else questions)[each.place]
    # of four answers to a question two are written with the statement; an epoch has six questions
    assert len(asked) == 2 * 6 * 4 and sum(each.in_context for each in asked) == 2 * 6 * 2


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"data": DataConfig(style="document")}, "takes the questions alone"),
        ({"data": DataConfig(style="own_trace")}, "takes the questions alone"),
        ({"data": DataConfig(mask_empty_thinking=True)}, "mask_empty_thinking false"),
        ({"data": DataConfig(replay_ratio=0.5)}, "have no reward"),
        ({"arm": "full"}, "use arm lora"),
    ],
)
def test_what_cannot_be_rewarded_is_refused(changes, why):
    with pytest.raises(ValueError, match=why):
        config(**changes)


def test_objectives_that_reward_nothing_are_refused():
    with pytest.raises(ValueError, match="are all 0; set one of them"):
        ObjectiveConfig(name="grpo", reward_stance=0.0)
    with pytest.raises(ValueError, match="is no answer at all"):
        ObjectiveConfig(name="grpo", num_generations=4, in_context_share=0.1)
