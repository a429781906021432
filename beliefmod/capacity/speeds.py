"""How long an engine's work takes, from what a sample measured of its parts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """Work of some trials.

    Attributes:
        training_tokens: that optimiser steps read.
        answers, generated_tokens, prompt_tokens: answers, tokens written for them, and read before them.
        longest: tokens of the longest answer.
        compared_tokens: read by arm and base for the drift between them, or by base in a step.
        scored_tokens: read for the likelihood of given continuations.
    """

    training_tokens: float = 0.0
    answers: float = 0.0
    generated_tokens: float = 0.0
    prompt_tokens: float = 0.0
    longest: float = 0.0
    compared_tokens: float = 0.0
    scored_tokens: float = 0.0


@dataclass(frozen=True)
class Speeds:
    """What the parts of one engine's work take on this machine, in seconds.

    Attributes:
        start: loading the model and measuring it.
        train_token: a token of a training step of all slots.
        prompt_token: a token of a prompt that is read before an answer.
        decode_step, decode_row: a pass that writes a token of each of several answers, and each answer in it.
        read_token: a token of a pass that compares an arm with base.
        judge: reading one answer.
        rows: answers that are written at a time.
    """

    start: float
    train_token: float
    prompt_token: float
    decode_step: float
    decode_row: float
    read_token: float
    judge: float
    rows: int

    def seconds(self, load: Load) -> float:
        """What one engine takes for the work.

        >>> Speeds(9.0, 0.1, 0.01, 0.5, 0.1, 1.0, 0.2, 8).seconds(
        ...     Load(100, answers=10, generated_tokens=50, prompt_tokens=300, longest=6, compared_tokens=2)
        ... )  # 100 x 0.1 + 300 x 0.01 + (6 + 2 x 5 / 8) x 0.5 + 50 x 0.1 + 2 x 1.0 + 10 x 0.2
        25.625
        """
        # others take the places of answers that end; the last ones are waited for
        beyond = max(0.0, load.answers - self.rows) / self.rows
        steps = load.longest + beyond * load.generated_tokens / max(1.0, load.answers)
        return (
            load.training_tokens * self.train_token
            + (load.prompt_tokens + load.scored_tokens) * self.prompt_token
            + steps * self.decode_step
            + load.generated_tokens * self.decode_row
            + load.compared_tokens * self.read_token
            + load.answers * self.judge
        )
