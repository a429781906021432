"""How answers are decoded: as the space asks, else as the model's generation config has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from beliefmod.engine.jobs import GREEDY, Sampling
from beliefmod.errors import UserError
from beliefmod.probing.decoding_words import OFF

if TYPE_CHECKING:
    from beliefmod.space import Evaluation

DEFAULT_MAX_NEW_TOKENS = 2048
"""Where nobody names a limit and base was not asked (`token_budget`): in plans, and until it is."""
NO_END = 2**31
SAMPLING_DEFAULTS = {"temperature": 1.0, "top_k": 50, "top_p": 1.0, "min_p": 0.0}
"""What `generate` of transformers 5.23 takes where a generation config samples and does not say."""

# what else in a generation config changes texts, with the values at which it does not
_NOT_APPLIED: dict[str, tuple[Any, ...]] = {
    "repetition_penalty": (1,),
    "encoder_repetition_penalty": (1,),
    "no_repeat_ngram_size": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "num_beams": (1,),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "bad_words_ids": (),
    "suppress_tokens": ([],),
    "begin_suppress_tokens": ([],),
    "sequence_bias": (),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "exponential_decay_length_penalty": (),
    "stop_strings": (),
    "guidance_scale": (1,),
    "penalty_alpha": (0,),
    "dola_layers": (),
    "watermarking_config": (),
    "token_healing": (False,),
}
_NOT_APPLIED_WHEN_SAMPLING: dict[str, tuple[Any, ...]] = {
    "top_h": (),
    "typical_p": (1,),
    "epsilon_cutoff": (0,),
    "eta_cutoff": (0,),
}


@dataclass(frozen=True)
class Decoding:
    """How a base's and its adapters' answers are written.

    Attributes:
        max_new_tokens: the token limit of an answer.
        not_applied: settings of the model's generation config that would change texts and are left out, as
            `name value`.
    """

    max_new_tokens: int
    sampling: Sampling = GREEDY
    not_applied: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """For the manifest: `decoding_words` reads it back."""
        return {**asdict(self.sampling), "not_applied": list(self.not_applied)}


def names_limit(evaluation: Evaluation, generation: Mapping[str, Any]) -> bool:
    """Whether the space or the model's generation config says how many tokens an answer may have."""
    return evaluation.max_new_tokens != "auto" or generation.get("max_new_tokens") is not None


def decoding_of(
    evaluation: Evaluation,
    generation: Mapping[str, Any],
    positions: int = NO_END,
    budget: int = DEFAULT_MAX_NEW_TOKENS,
) -> Decoding:
    """The decoding of a model under a space's `evaluation`.

    Temperature auto takes all that the generation config says where it samples, and is greedy where it does
    not; a number takes nothing from it. An answer never has room for more than the model's positions.

    Args:
        generation: the fields of the model's generation config.
        positions: how many tokens the model can read.
        budget: the token limit where neither says one.

    Raises:
        UserError: settings of either that mean nothing, or do not go together.
    """
    asked = {name: getattr(evaluation, name) for name in ("temperature", *OFF)}
    given = {name: value for name, value in asked.items() if value != "auto"}
    recommended = bool(generation.get("do_sample")) and asked["temperature"] == "auto"
    if recommended:
        taken = {name: _or(generation.get(name), default) for name, default in SAMPLING_DEFAULTS.items()}
        sampling = _checked(Sampling(**{**taken, **given}))
    else:
        sampling = Sampling(**{"temperature": 0.0, **given})
        if asked["temperature"] == "auto" and (idle := evaluation.filters()):
            raise UserError(
                f"evaluation.{name} has no effect: the model's generation config does not sample, so answers "
                "are greedy; remove it, or give evaluation.temperature a number"
                for name in idle
            )
        if sampling.greedy:
            sampling = GREEDY
    limit = evaluation.max_new_tokens
    if limit == "auto":
        limit = _own_limit(generation, budget)
    return Decoding(min(limit, max(1, positions - 1)), sampling, _not_applied(generation, recommended))


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _checked(sampling: Sampling) -> Sampling:
    problems = sampling.problems()
    if sampling.temperature == 0:
        problems.append("temperature must be above 0 where do_sample is true")
    if problems:
        raise UserError(
            f"the model's generation_config.json: {problem}; mend it, or give evaluation.temperature a number"
            for problem in problems
        )
    return sampling


def _own_limit(generation: Mapping[str, Any], budget: int) -> int:
    limit = _or(generation.get("max_new_tokens"), budget)
    if type(limit) is not int or limit < 1:
        raise UserError(
            "the model's generation_config.json: max_new_tokens must be a whole number from 1 on, not "
            f"{limit!r}; mend it, or give evaluation.max_new_tokens"
        )
    return limit


def _not_applied(generation: Mapping[str, Any], sampled: bool) -> tuple[str, ...]:
    known = {**_NOT_APPLIED, **(_NOT_APPLIED_WHEN_SAMPLING if sampled else {})}
    return tuple(
        f"{name} {generation[name]}"
        for name, harmless in known.items()
        if generation.get(name) is not None and generation[name] not in harmless
    )
