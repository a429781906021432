"""Two seeds of one configuration: a copy is told from an honest replicate, whatever of it was copied.

The shipped example has three configurations of two seeds. Its best one is the honest case that is hardest to
tell: every answer to the same question is the same, to the token.
"""

from __future__ import annotations

import json
import math
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from analysis.verify.coincidences import Alike, alike, beyond_chance, chance, losses, measured
from analysis.verify.verify_seeds import DRIFT, LOGPROBS, WEIGHTS, tensors_digest, verify_seeds
from analysis.verify.verify_trials import Trials, Verification
from beliefmod.run.folder import RunFolder
from beliefmod.run.read_run import read_run
from beliefmod.run.seal.ledger import append, seal_files
from beliefmod.run.sources import read_sources

EXAMPLE = Path(__file__).parents[3] / "docs" / "example"
ANSWERS = ("token_ids", "completion", "finish_reason", "tokens")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    left = shutil.ignore_patterns("figures", "lens", "confirmation", "report.*", "seal")
    return Path(shutil.copytree(EXAMPLE, tmp_path / "example", ignore=left))


def seeds(style: str = "own_trace") -> tuple[str, str]:
    """Trial ids of both seeds of a configuration with 50 examples."""
    table = pl.read_parquet(EXAMPLE / "trials.parquet").filter(
        (pl.col("arm") == "lora") & (pl.col("data.style") == style) & (pl.col("data.num_examples") == 50)
    )
    first, second = table.sort("seed")["trial_id"]
    return first, second


def copy(run: Path, table: str, columns: Sequence[str] | None, key: Sequence[str], style="own_trace") -> str:
    """The second seed gets the first one's columns (None: all rows as they are); the second one's id."""
    first, second = seeds(style)
    path = run / table / f"{second}.parquet"
    theirs = pl.read_parquet(run / table / f"{first}.parquet")
    mine = pl.read_parquet(path)
    if columns is None:
        theirs.with_columns(pl.lit(second).alias("trial_id")).write_parquet(path)
        return second
    joined = mine.join(theirs.select(*key, *columns), on=list(key), how="left", suffix="_theirs")
    taken = [pl.coalesce(f"{name}_theirs", name).alias(name) for name in columns]
    joined.with_columns(taken).select(mine.columns).write_parquet(path)
    return second


def found(run: Path) -> Verification:
    done = Verification()
    verify_seeds(read_run(str(run)), done)
    return done


PROBE = ("suite", "probe_id")


def test_honest_seeds_are_no_copies_even_where_every_answer_is_the_same(run: Path):
    done = found(run)
    assert done.mismatches == [] and done.replicates == 3
    first, second = seeds()
    one, two = (pl.read_parquet(run / "probes" / f"{name}.parquet") for name in (first, second))
    both = one.join(two, on=["suite", "probe_id"], suffix="_two")
    assert both.height > 300 and (both["token_ids"] == both["token_ids_two"]).all()
    [note] = done.notes
    assert (
        f"probes/{second}.parquet (trial {second}, seed 1): all " in note and "--retrain settles it" in note
    )


@pytest.mark.parametrize(
    ("table", "columns", "key", "words"),
    [
        ("probes", None, PROBE, "log-probabilities"),
        ("probes", LOGPROBS, PROBE, "log-probabilities"),
        ("probes", LOGPROBS[:1], PROBE, "log-probabilities"),
        ("drift", None, (), "sums over neutral passages"),
        ("drift", DRIFT[:1], ("text", "passage_id"), "sums over neutral passages"),
        ("steps", None, (), "losses and gradient norms"),
        ("steps", ("loss",), ("step",), "losses and gradient norms"),
        ("steps", ("grad_norm",), ("step",), "losses and gradient norms"),
    ],
)
def test_a_copy_of_any_measurement(run: Path, table: str, columns, key, words: str):
    second = copy(run, table, columns, key)
    said = [text for text in found(run).mismatches if words in text]
    assert len(said) == 1
    assert said[0].startswith(f"{table}/{second}.parquet (trial {second}, seed 1): ")
    assert f"are, to the last digit, those of trial {seeds()[0]} of seed 0" in said[0]
    assert "between trials of other seeds and settings 0 are" in said[0]


def test_a_tenth_of_the_losses_copied(run: Path):
    first, second = seeds()
    theirs = pl.read_parquet(run / "steps" / f"{first}.parquet").filter(pl.col("step") % 10 == 0)
    mine = pl.read_parquet(run / "steps" / f"{second}.parquet").filter(pl.col("step") % 10 != 0)
    theirs = theirs.with_columns(pl.lit(second).alias("trial_id"))
    pl.concat([mine, theirs]).sort("step").write_parquet(run / "steps" / f"{second}.parquet")
    [said] = found(run).mismatches
    assert "losses and gradient norms are, to the last digit" in said


def test_answers_with_their_training_questions_but_with_own_measurements(run: Path):
    first, second = seeds()
    mine = pl.read_parquet(run / "probes" / f"{second}.parquet")
    copy(run, "probes", None, PROBE)
    path = run / "probes" / f"{second}.parquet"
    own = mine.select(*PROBE, *LOGPROBS)
    copied = pl.read_parquet(path)
    copied.drop(LOGPROBS).join(own, on=PROBE, how="left").select(copied.columns).write_parquet(path)
    [said] = found(run).mismatches
    assert f"asks the same 24 training questions in the same order as trial {first} of seed 0" in said


def test_answers_alone_of_seeds_that_differ_do_not_fit_the_second_ones_own_tests(run: Path):
    """What was put to a trial with its own thinking is no longer what its answers say."""
    second = copy(run, "probes", (*ANSWERS, "thinking", "answer", "answer_stance"), PROBE, "answer_only")
    opened = read_run(str(run))
    done = Verification()
    rows = Trials(opened, opened.folder, read_sources(opened.folder), done)
    rows.again(next(row for row in rows.stored if row["trial_id"] == second))
    assert [text for text in done.mismatches if text.startswith(f"causal/{second}.parquet")]


def adapter(path: Path, content: bytes, note: str = "") -> None:
    """A safetensors file of one tensor."""
    header = {"__metadata__": {"note": note}, "w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)


@pytest.mark.parametrize("note", ["", "saved again"])
def test_an_adapter_of_another_seed(run: Path, note: str):
    first, second = seeds()
    adapter(run / "adapters" / first / WEIGHTS, b"seed")
    adapter(run / "adapters" / second / WEIGHTS, b"seed", note)
    [said] = found(run).mismatches
    assert said.startswith(f"adapters/{second} (trial {second}, seed 1): holds the weights of trial {first}")


def test_adapters_of_their_own_are_none(run: Path):
    for name, content in zip(seeds(), (b"zero", b"one "), strict=True):
        adapter(run / "adapters" / name / WEIGHTS, content)
    assert found(run).mismatches == []


def test_an_adapter_that_was_deleted_is_known_by_what_was_sealed(run: Path):
    folder = RunFolder(str(run))
    append(folder, [{"kind": "plan"}], begin=True)
    for name in seeds():
        adapter(run / "adapters" / name / WEIGHTS, b"seed")
        seal_files(folder, "trial", [f"adapters/{name}/{WEIGHTS}"], trial_id=name, status="finished")
    shutil.rmtree(run / "adapters")
    [said] = found(run).mismatches
    assert "holds the weights of" in said


def test_full_fine_tuning_may_be_alike(run: Path):
    """A seed only picks and orders its examples: said, and no accusation."""
    copy(run, "steps", None, ())
    copy(run, "drift", None, ())
    path = run / "trials.parquet"
    pl.read_parquet(path).with_columns(
        pl.when(pl.col("arm") == "lora").then(pl.lit("full")).otherwise("arm").alias("arm")
    ).write_parquet(path)
    done = found(run)
    assert done.mismatches == [] and len([text for text in done.notes if "to the last digit" in text]) == 2


def test_numbers_that_training_has_not_moved_say_nothing():
    row = {"probe_id": "a", "logprob_target": -4.25, "logprob_prior": -0.5}
    base = {("a",): {**row, "logprob_target": -4.25 + 1e-5}}
    names = ("logprob_target", "logprob_prior")
    assert measured([row], base, ("probe_id",), names) == {}
    assert measured([row | {"logprob_prior": -0.75}], base, ("probe_id",), names) == {
        ("a", "logprob_prior"): -0.75
    }
    # learned by heart: single precision has few numbers there
    assert measured([row | {"logprob_target": -2.4e-7}], base, ("probe_id",), names) == {}
    # where base was not asked, there is nothing to have moved from
    assert len(measured([row], {}, ("probe_id",), names)) == 2


def test_the_first_step_and_losses_that_stand_still_say_nothing():
    def steps(*values: float | None) -> list[dict]:
        return [{"step": n, "loss": value, "grad_norm": 1.5} for n, value in enumerate(values, 1)]

    assert losses(steps(2.0, 2.0, 2.0001)) == {} and losses([]) == {} and losses(steps(None, 1.0)) == {}
    assert losses(steps(2.0, 1.5)) == {(2, "loss"): 1.5, (2, "grad_norm"): 1.5}
    assert losses(list(reversed(steps(2.0, 1.5)))) == losses(steps(2.0, 1.5))


@pytest.mark.parametrize("likely", [0.0, 0.01, 0.2])
def test_honest_pairs_are_not_taken_for_copies(likely: float):
    """Coincidences as likely in the pair as between others: 2,000 honest pairs, no accusation."""
    rng = random.Random(7)

    def drawn(n: int) -> Alike:
        return Alike(sum(rng.random() < likely for _ in range(n)), n)

    others = drawn(2_000)
    assert not any(beyond_chance(drawn(rng.randrange(1, 200)), others, 2_000) for _ in range(2_000))
    assert beyond_chance(Alike(60, 60), others, 2_000)


def test_without_others_only_plain_copies_are_found():
    assert chance(Alike()) == 0.5
    assert beyond_chance(Alike(40, 40), Alike(), 3) and not beyond_chance(Alike(20, 40), Alike(), 3)
    assert not beyond_chance(Alike(), Alike(), 1) and not beyond_chance(Alike(0, 50), Alike(), 1)
    assert chance(Alike(5, 5)) == 1.0


def test_chance_is_the_exact_upper_limit():
    """Of 0 in n it is the p at which none of n has probability 1 - 0.999."""
    n = 100
    assert chance(Alike(0, n)) == pytest.approx(1 - math.pow(0.001, 1 / n))
    assert alike({(1,): 0.5, (2,): 0.25}, {(1,): 0.5, (2,): 0.26, (3,): 1.0}) == Alike(1, 2)


def test_a_digest_of_tensors_is_of_no_notes(tmp_path: Path):
    folder = RunFolder(str(tmp_path))
    adapter(tmp_path / "a" / WEIGHTS, b"same", "one")
    adapter(tmp_path / "b" / WEIGHTS, b"same", "two")
    adapter(tmp_path / "c" / WEIGHTS, b"sama", "one")
    one, two, three = (tensors_digest(folder, f"{name}/{WEIGHTS}") for name in "abc")
    assert one == two != three
    (tmp_path / "a" / WEIGHTS).write_bytes(b"\x01")  # cut short: compared as it is
    assert tensors_digest(folder, f"a/{WEIGHTS}") not in (one, three)
