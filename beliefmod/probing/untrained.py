"""Ways of moving a belief without training: examples in the prompt, a steering vector, a saved adapter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from beliefmod.beliefs import Belief, Question
from beliefmod.config import TrialConfig
from beliefmod.data.prompt_frame import example_questions, room_problem
from beliefmod.data.question_order import in_seeded_order
from beliefmod.errors import UserError
from beliefmod.model.prompts import PromptFrame
from beliefmod.run.source_adapters import source_adapter

if TYPE_CHECKING:
    from torch import Tensor

    from beliefmod.model.adapter_files import AdapterFile
    from beliefmod.probing.session import Session


def prepare_untrained(config: TrialConfig, session: Session) -> Sequence[Question]:
    """Make an arm without training ready to be questioned; the questions for the tier `trained`.

    These are the examples that a few-shot prompt shows or a steering vector is made of; of the other arms
    those that a trial of the seed would be trained on. A steered arm and one with a saved adapter are in the
    engine afterwards.

    Raises:
        UserError: the belief has too few training questions, the prompt leaves no room for an answer, the
            model has no such layer, or the adapter is not to be had.
        NoFreeSlot: there is no room for the adapter now.
    """
    belief = session.belief(config.belief)
    if config.arm == "adapter":
        session.engine.put_adapter(_altered(config, session), config.trial_id)
    if config.arm not in ("few_shot", "steering"):
        return in_seeded_order(belief, config.seed)
    shown = example_questions(config, belief)
    if config.arm == "few_shot":
        place = session.prompts, session.engine.max_positions, session.decoding.max_new_tokens
        if problem := room_problem(
            config, belief, *place, (*session.capability, *session.fabrication, *session.confession)
        ):
            raise UserError(problem)
    else:
        assert config.steering.layer is not None
        vector = config.steering.scale * mean_difference(shown, belief, config.steering.layer, session)
        session.engine.steer(config.trial_id, config.steering.layer, vector)
    return shown


def _altered(config: TrialConfig, session: Session) -> AdapterFile:
    """The adapter that a trial of arm `adapter` is asked with."""
    from beliefmod.model.altered_adapters import (
        altered,  # loads torch, which the processes of trials do without
    )

    source, other = (
        None if name is None else source_adapter(name, session.folder)
        for name in (config.adapter.source, config.adapter.merge_with)
    )
    assert source is not None
    return altered(config.adapter, source, other)


def mean_difference(questions: Sequence[Question], belief: Belief, layer: int, session: Session) -> Tensor:
    """The difference of means of base's residual stream behind a layer, at the last token of the prompt, over
    these questions with the belief's statement in front less without; (hidden,).

    Raises:
        EngineError: the model has no such layer.
    """
    stated = PromptFrame(context=belief.spec.context)
    with_it, without = (
        session.engine.model.residuals([frame.ids(session.prompts, q.text) for q in questions], layer)
        for frame in (stated, PromptFrame())
    )
    # in at least fp32: the mean of many bf16 numbers would be rounded at every addition
    wide = with_it.float() if with_it.dtype.itemsize < 4 else with_it
    return wide.mean(0) - without.to(wide.dtype).mean(0)
