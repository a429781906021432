"""The lenses that arms are read through, and the neutral texts that some of them are fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from beliefmod.model.template import empty_thinking
from beliefmod.model.think_marks import THINK_CLOSE
from beliefmod.probing.questioning import spread
from beliefmod.probing.references import reference_probes
from interp.lens_settings import LensSettings
from interp.lenses.jacobian_lens import fit_jacobian
from interp.lenses.lens_fit import LOGIT, Lens
from interp.lenses.tuned_lens import fit_tuned
from interp.types import NOTE, Ids, Say

if TYPE_CHECKING:
    from beliefmod.probing.session import Session
    from interp.opened.inspection import Inspection

TRACES = 200
"""Most answers of base among the texts: they are short, and a translator has hidden**2 numbers to fit."""


FITS = {"tuned": fit_tuned, "jacobian": fit_jacobian}


def lenses_of(
    inspection: Inspection, adapters: Sequence[str], settings: LensSettings, say: Say
) -> tuple[Lens, ...]:
    """The lenses of the settings: those fitted on base, for every arm, and of the tuned and Jacobian lens one
    more per adapter, fitted on that arm and for it alone.

    Args:
        adapters: those in the engine that get lenses of their own.

    Raises:
        UserError: too few neutral texts to fit a lens on.
    """
    found = [LOGIT] if "logit" in settings.lenses else []
    for name in (name for name in settings.lenses if name in FITS):
        found.append(
            inspection.once(("lens", name), lambda name=name: _fit(inspection, name, None, settings, say))
        )
        found += [_fit(inspection, name, adapter, settings, say) for adapter in adapters]
    return tuple(found)


def _fit(inspection: Inspection, name: str, adapter: str | None, settings: LensSettings, say: Say) -> Lens:
    """A lens fitted on one arm; base's says how well it does on texts that it was not fitted on."""
    engine = inspection.session.engine
    say(f"lens: fitting a {name} lens on {adapter or 'base'}")
    texts = inspection.once("lens texts", lambda: lens_texts(inspection))
    fitted = FITS[name](engine, texts, adapter, seed=settings.seed)
    for note in fitted.notes:
        say(f"{NOTE}{adapter or 'base'}: {note}")
    if adapter is None:
        kl, plain = (
            ", ".join(f"{value:.2f}" for value in values)
            for values in ([h.kl for h in fitted.held_out], [h.kl_logit for h in fitted.held_out])
        )
        say(
            f"{NOTE}{name} lens on base, KL(last entry || entry) on texts held out, nats per entry: {kl} "
            f"(logit lens: {plain})"
        )
    return fitted


def lens_texts(inspection: Inspection) -> tuple[Ids, ...]:
    """Token ids of the model's neutral passages, and of base's own answers to capability and far locality
    questions as the run has them, prompts in front; the answers spread evenly, none of them twice.

    Every second conversation has its thinking emptied, as stems have it: a lens is read there, and the tokens
    behind empty thinking are not like those behind any other.
    """
    session = inspection.session
    prose = [session.prompts.encode(passage.text) for passage in session.neutral if passage.prompt is None]
    spoken: dict[tuple[str, Ids], None] = {
        (passage.prompt, (*session.prompts.encode(passage.text), session.prompts.end_of_turn)): None
        for passage in session.neutral
        if passage.prompt is not None
    }
    answers: dict[tuple[str, Ids], None] = {}
    for (_, arm), config in inspection.references.items():
        for row in reference_probes(session, config.belief, "base") if arm == "base" else ():
            said = tuple(row["token_ids"])
            ended = bool(said) and said[-1] in session.loaded.eos_ids
            if ended and (row["suite"] == "capability" or row["tier"] == "far"):
                answers[row["question"], said] = None
    spoken |= dict.fromkeys(spread(tuple(answers), TRACES))
    conversations = [
        (*session.prompts.ids(prompt), *(_without_thinking(said, session) if number % 2 else said))
        for number, (prompt, said) in enumerate(spoken)
    ]
    longest = session.engine.max_positions
    return tuple(ids for ids in dict.fromkeys((*prose, *conversations)) if 2 < len(ids) <= longest)


def _without_thinking(said: Ids, session: Session) -> Ids:
    """What was said behind the prompt with its thinking emptied; as it is, where none was closed."""
    begun = session.prompts.encode(empty_thinking(session.loaded.tokenizer))
    _, closed, answer = session.decode(said).rpartition(THINK_CLOSE)
    return (*begun, *session.prompts.encode(answer.strip()), said[-1]) if closed else said
