"""Rollouts: what trials write themselves at a step, many trials in one batch, and how it is rewarded."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean

from beliefmod.engine.batching import SlotRow, batch_indices, derived_seed
from beliefmod.engine.forward import FlatModel
from beliefmod.engine.jobs import AdapterJob, Completion, GenerateRequest, Rollout, Sampling
from beliefmod.engine.memory import within_memory
from beliefmod.engine.objectives.grpo import group_advantages
from beliefmod.engine.slots import SlotTrial
from beliefmod.engine.training_steps import TrialSteps, log_probs_of
from beliefmod.model.train_row import TrainRow

Write = Callable[[Sequence[GenerateRequest], int, Sampling], Sequence[Completion]]
"""Completions of requests, of at most so many tokens each."""


@dataclass(frozen=True)
class Asked:
    """What one answer is written to.

    Attributes:
        place: of the question among the job's rows.
        in_context: whether the statement is in the prompt.
    """

    place: int
    in_context: bool
    request: GenerateRequest


def write_own_answers(trials: Sequence[TrialSteps], write: Write) -> None:
    """Let every trial whose objective needs it write the answers of its coming step, unless it has them.

    Trials with the same limit and temperature write in one batch, where the prompt of a group is read once.
    Which question, which of its answers and which batch an answer is for decide its random numbers, together
    with the trial's seed: a trial that goes on elsewhere writes the same again.
    """
    alike: dict[tuple[int, float], list[TrialSteps]] = {}
    for trial in trials:
        assert trial.job is not None
        settings = trial.job.config.objective
        if settings.writes and not trial.written:
            alike.setdefault((settings.max_completion_length, settings.temperature), []).append(trial)
    for (limit, temperature), group in alike.items():
        asked = [list(asked_of(trial)) for trial in group]
        requests = [each.request for questions in asked for each in questions]
        completions = iter(write(requests, limit, Sampling(temperature)))
        for trial, questions in zip(group, asked, strict=True):
            assert trial.job is not None
            answers = [(each, next(completions)) for each in questions]
            trial.written, trial.own_answers = rewarded(trial.job, answers)


def keep_log_probs(slot_trials: Sequence[SlotTrial], model: FlatModel) -> None:
    """Where a trial takes several steps on its own answers: how likely they were when it wrote them."""
    for slot_trial in slot_trials:
        assert slot_trial.job is not None
        settings = slot_trial.job.config.objective
        if settings.steps_per_batch == 1 or all(item.log_probs for item in slot_trial.written):
            continue
        rows = [SlotRow(slot_trial.slot, item.row, 0.0, settings=settings) for item in slot_trial.written]
        lengths = [len(item.row.input_ids) for item in rows]
        found = within_memory(model, "pass_tokens", lengths, partial(log_probs_of, model, rows))
        pairs = zip(slot_trial.written, found, strict=True)
        slot_trial.written = tuple(replace(item, log_probs=log_probs) for item, log_probs in pairs)


def asked_of(trial: TrialSteps) -> Iterator[Asked]:
    """What a trial writes answers to for its coming step, question by question."""
    assert trial.job is not None
    job, config = trial.job, trial.job.config
    batch = trial.step // config.objective.steps_per_batch
    for place in batch_indices(config.seed, batch, len(job.rows), config.per_device_train_batch_size):
        for number in range(config.objective.num_generations):
            in_context = number < config.objective.in_context
            prompt = job.in_context[place] if in_context else job.rows[place].prompt_ids
            seed = derived_seed(config.seed, f"own answer/{batch}/{place}/{number}")
            yield Asked(place, in_context, GenerateRequest(trial.trial_id, prompt, seed))


def rewarded(
    job: AdapterJob, answers: Sequence[tuple[Asked, Completion]]
) -> tuple[tuple[Rollout, ...], Mapping[str, float | None]]:
    """Answers with their advantages, and what they were on the whole (`config.own_answer_values`, less KL).

    Args:
        answers: with what they were written to, group by group. Whatever that was, an answer is trained on
            behind the question alone.
    """
    assert job.reward is not None
    settings = job.config.objective
    parts = [job.reward(asked.place, completion) for asked, completion in answers]
    rewards = [sum(weight * each[name] for name, weight in settings.rewards.items()) for each in parts]
    advantages = group_advantages(rewards, settings.num_generations, settings.loss_type)
    written = []
    for (asked, completion), advantage in zip(answers, advantages, strict=True):
        prompt = job.rows[asked.place].prompt_ids
        written.append(Rollout(TrainRow((*prompt, *completion.token_ids), len(prompt)), advantage))
    own = [index for index, (asked, _) in enumerate(answers) if not asked.in_context]
    on_the_whole = {
        "reward": fmean(rewards[index] for index in own),
        **{name: fmean(parts[index][name] for index in own) for name in settings.rewards},
        "tokens_own_answers": float(sum(len(completion.token_ids) for _, completion in answers)),
    }
    return tuple(written), on_the_whole
