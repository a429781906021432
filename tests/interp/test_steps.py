"""Lines on how far a piece of work is."""

from __future__ import annotations

from interp.steps import SECONDS, Steps, untold


def test_lines_come_now_and_then_and_say_what_is_left():
    times, said = iter([0.0, 1.0, 12.0, 13.0, 24.0, 90.0]), []
    steps = Steps(said.append, "lens: gravity", 40, "arms x prompts", lambda: next(times))
    for done in (4, 4.5, 1, 10.5, 20):
        steps(done)
    # 12 s for 8.5 of 40; 24 s for 20 of 40; nothing is said of what is done
    assert said == [
        "lens: gravity: 8 of 40 arms x prompts, about 44 s left",
        "lens: gravity: 20 of 40 arms x prompts, about 24 s left",
    ]


def test_what_takes_seconds_says_nothing():
    times, said = iter([5.0, 5.0 + SECONDS - 0.1, 5.0 + SECONDS]), []
    steps = Steps(said.append, "lens", 2, "arms", lambda: next(times))
    steps(1)
    steps(1)
    untold(1)
    assert said == []
