"""Prompts rendered again from belief and chat template, and completions against their token ids.

The tokenizer is all of the model that this needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from analysis.verify.verify_trials import Trials, Verification
from beliefmod.beliefs import Question
from beliefmod.config import NO_TRAINING_ARMS, TrialConfig
from beliefmod.data.prompt_frame import frame_of
from beliefmod.errors import UserError
from beliefmod.model.think_marks import THINK_CLOSE, THINK_OPEN
from beliefmod.run.tables.trial_tables import configuration
from beliefmod.space.model_name import on_hub

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from beliefmod.model.prompts import PromptFrame, Prompts
    from beliefmod.model.think_marks import Reply
    from beliefmod.space.chat_format import ThinkingKind

COLUMNS = ("suite", "probe_id", "prompt", "first_turn", "completion", "finish_reason", "token_ids")
Row = dict[str, Any]


def verify_texts(rows: Trials, done: Verification, trial_ids: Sequence[str] | None = None) -> None:
    """Note every probe whose prompt or token ids are not those that belong to it.

    Args:
        rows: the run's trials.
        trial_ids: which; None: all that have finished.
    """
    tokenizer, why = _tokenizer(rows)
    if tokenizer is None:
        done.notes.append(f"prompts and token ids are not compared: {why}")
        return
    switched: dict[str | None, TextCheck] = {}
    for trial in rows.stored:
        belief = rows.sources.beliefs.get(trial["belief"])
        if belief is None or (trial_ids is not None and trial["trial_id"] not in trial_ids):
            continue
        template = trial["template"]
        if template not in switched:
            switched[template] = TextCheck(tokenizer, template, rows.opened_by(template))
        config = configuration(trial, rows.space.beliefs)
        if config is None and trial["arm"] in NO_TRAINING_ARMS:
            continue  # that its settings are not its own is said where those are compared
        frame = frame_of(config or TrialConfig(belief=trial["belief"], arm=trial["arm"]), belief)
        for row in rows.run.probes([trial["trial_id"]], COLUMNS).iter_rows(named=True):
            try:
                question = rows.sources.question(trial["belief"], row["suite"], row["probe_id"])
            except KeyError:
                continue  # said where verdicts are read
            place = f"probes/{trial['trial_id']}.parquet, probe {row['probe_id']}"
            done.texts += 1
            done.mismatches += [
                f"{place}: {what}" for what in switched[template].problems(row, question, frame)
            ]


class TextCheck:
    """Renders prompts and decodes answers as a run did, with these switches of the chat template."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, template: str | None, opened_by: ThinkingKind
    ) -> None:
        from beliefmod.model.prompts import Prompts
        from beliefmod.model.template import canonical_text, with_switches
        from beliefmod.probing.questioning import reply_of

        switched = with_switches(tokenizer, template)
        self._prompts: Prompts = Prompts(switched)
        self._reply_of = reply_of
        self._opened_by: ThinkingKind = opened_by
        self._decode: Callable[[Sequence[int]], str] = lambda ids: canonical_text(switched, ids, ())

    def problems(self, row: Row, question: Question, frame: PromptFrame) -> list[str]:
        """What is wrong with a probe row, in words.

        Args:
            frame: what the prompts of the row's arm have around a question.
        """
        found = []
        if (again := self._again(row, question, frame)) is not None:
            found.append(
                f"prompt: is not what belief and chat template give{_difference(row['prompt'], again)}"
            )
        ids = list(row["token_ids"])
        # the end token is among the ids and no part of the text
        texts = [self._decode(ids[:-1]), self._decode(ids)]
        if row["completion"] not in texts:
            said = texts[0] if row["finish_reason"] == "eos" else texts[1]
            found.append(
                f"token_ids: spell another text than the completion{_difference(row['completion'], said)}"
            )
        return found

    def _again(self, row: Row, question: Question, around: PromptFrame) -> str | None:
        """The prompt that a probe should have had, None where it had that one."""

        def rendered(*later: str | Reply) -> str:
            return self._prompts.text(around.ids(self._prompts, question.text, *later))

        follow_up = question.follow_up
        if follow_up is None:
            again = rendered()
            return None if again == row["prompt"] else again
        first = row["first_turn"] or ""
        reply = self._reply_of(first, self._opened_by)
        again = rendered(reply, follow_up)
        if again == row["prompt"]:
            return None
        # what of the first turn is its answer may have been read otherwise when the run was made
        frame = rendered(self._reply_of(_REPLY, "none"), follow_up)
        before, _, after = frame.partition(_REPLY)
        before = before.partition(THINK_OPEN)[0]
        inner = (row["prompt"] or "").removeprefix(before).removesuffix(after)
        whole = f"{before}{inner}{after}" == row["prompt"]
        return None if whole and _bare(inner) in _bare(first) else again


_REPLY = "reply-probe"


def _bare(text: str) -> str:
    """A text without marks of thinking and white space."""
    return "".join(text.replace(THINK_OPEN, "").replace(THINK_CLOSE, "").split())


def _difference(stored: str | None, again: str) -> str:
    """Where two texts part: `, from "..." on, where it gives "..."`."""
    stored = stored or ""
    at = next(
        (i for i, (x, y) in enumerate(zip(stored, again, strict=False)) if x != y),
        min(len(stored), len(again)),
    )
    start = max(0, at - 10)
    return f": {stored[start : at + 40]!r}, again {again[start : at + 40]!r}"


def _tokenizer(rows: Trials) -> tuple[PreTrainedTokenizerBase | None, str]:
    """The tokenizer that the run had, or why there is none here; nothing is fetched."""
    from beliefmod.model.load import load_tokenizer
    from beliefmod.model.source import find_source

    spec, model = rows.space, rows.run.manifest.get("model") or {}
    if on_hub(spec.model) and not model.get("commit"):
        return None, "the manifest does not say which version of the model it was"
    try:
        tokenizer = load_tokenizer(find_source(spec.model, model.get("commit") or spec.revision, spec.chat))
    except UserError as error:
        return None, str(error)
    had, here = model.get("chat_template"), sha256(str(tokenizer.chat_template).encode()).hexdigest()
    if had not in (None, here):
        return (
            None,
            f"the run's chat template ({had[:12]}) is another than that of {spec.model} here ({here[:12]})",
        )
    return tokenizer, ""
