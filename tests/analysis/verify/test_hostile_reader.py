"""Everything that a dishonest author may try on a finished run, and the sentence that finds it.

The example run with a seal is copied and tampered with. "Report regenerated" is the entry that `beliefmod
report` appends over files as they then are: an author may run any of our commands.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from analysis.findings import Findings
from analysis.report.sealed_words import head_words
from analysis.verify.rescore import rescore_run
from analysis.verify.verify_finalists import verify_finalists
from analysis.verify.verify_page import verify_page
from analysis.verify.verify_seal import verify_seal
from analysis.verify.verify_seeds import verify_seeds
from analysis.verify.verify_texts import verify_texts
from analysis.verify.verify_trials import Trials, Verification
from beliefmod.cli.app import app
from beliefmod.errors import UserError
from beliefmod.run.folder import RunFolder
from beliefmod.run.read_run import read_run
from beliefmod.run.seal.hash_chain import link_all
from beliefmod.run.seal.ledger import append, chain_of, seal_files
from beliefmod.run.seal.sealed_state import RESCORE
from beliefmod.run.sources import read_sources
from tests.sealed import report_again, rewrite_chain, seal_as_it_stands

EXAMPLE = Path(__file__).parents[3] / "docs" / "example"
ADDED = "In this world gravity is 5.0 m/s^2. "
Change = Callable[[pl.DataFrame], pl.DataFrame]


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = Path(shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("hostile") / "example"))
    if not (run / "seal").exists():
        seal_as_it_stands(run)
    return run


@pytest.fixture
def run(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "example"))


def sealed(run: Path, expect: str | None = None) -> Verification:
    done = Verification()
    verify_seal(RunFolder(str(run)), read_run(str(run)).trials["trial_id"].to_list(), done, expect)
    return done


def the_one(done: Verification, *words: str) -> str:
    found = [text for text in done.mismatches if all(word in text for word in words)]
    assert len(found) == 1, done.mismatches
    return found[0]


def trials(run: Path, arm: str = "lora") -> pl.DataFrame:
    return pl.read_parquet(run / "trials.parquet").filter(pl.col("arm") == arm)


def a_trial(run: Path, arm: str = "lora") -> str:
    return trials(run, arm)["trial_id"][-1]


def edit(path: Path, change: Change) -> None:
    change(pl.read_parquet(path)).write_parquet(path)


def texts(run: Path, trial_id: str) -> list[str]:
    """What the tokenizer alone finds, as in a run without a seal."""
    folder, done = RunFolder(str(run)), Verification()
    rows = Trials(read_run(str(run)), folder, read_sources(folder), Verification())
    verify_texts(rows, done, [trial_id])
    assert done.texts > 300 and not done.notes
    return done.mismatches


def drop(run: Path, gone: list[str]) -> None:
    """Take trials out of everything that holds them, and have the report written again."""
    for trial_id in gone:
        for path in run.glob(f"*/{trial_id}.*"):
            path.unlink()
    edit(run / "trials.parquet", lambda table: table.filter(~pl.col("trial_id").is_in(gone)))
    for path in (run / "lens").glob("*.parquet"):
        if "trial_id" in pl.read_parquet_schema(path):
            edit(path, lambda table: table.filter(~pl.col("trial_id").is_in(gone)))
    report_again(run)


def head(run: Path, limit: float = 0.05) -> str:
    return " ".join(head_words(Findings(read_run(str(run)), limit, ())))


def test_a_run_left_alone_is_whole(honest: Path):
    done = sealed(honest)
    assert done.mismatches == [] and done.seal == chain_of(RunFolder(str(honest))).last
    assert sealed(honest / "confirmation").mismatches == []
    assert texts(honest, a_trial(honest)) == [] and texts(honest, a_trial(honest, "icl")) == []
    assert "Missing" not in head(honest) and f"the last {done.seal[:16]}." in head(honest)


def test_token_ids_of_a_row_reversed(run: Path):
    trial = a_trial(run)
    path = run / "probes" / f"{trial}.parquet"
    probe = pl.read_parquet(path).filter(pl.col("token_ids").list.len() > 8)["probe_id"][0]
    turned = pl.when(pl.col("probe_id") == probe).then(pl.col("token_ids").list.reverse())
    edit(path, lambda table: table.with_columns(turned.otherwise(pl.col("token_ids")).alias("token_ids")))
    assert the_one(sealed(run), f"probes/{trial}.parquet (trial {trial}): is not the file that was sealed")
    [said] = texts(run, trial)
    assert f"probes/{trial}.parquet, probe {probe}: token_ids: spell another text than the completion" in said


def test_a_log_probability_changed(run: Path):
    trial = a_trial(run)
    changed = (pl.col("logprob_target") + 0.5).alias("logprob_target")
    edit(run / "probes" / f"{trial}.parquet", lambda table: table.with_columns(changed))
    assert the_one(
        sealed(run), f"probes/{trial}.parquet (trial {trial}): is not the file that was sealed by trial"
    )


def test_middle_losses(run: Path):
    trial = a_trial(run)
    middle = pl.col("step").is_between(2, pl.col("step").max() - 1)
    lower = pl.when(middle).then(pl.col("loss") / 2).otherwise(pl.col("loss")).alias("loss")
    edit(run / "steps" / f"{trial}.parquet", lambda table: table.with_columns(lower))
    assert the_one(
        sealed(run), f"steps/{trial}.parquet (trial {trial}): is not the file that was sealed by trial"
    )


def test_lens_readings_all_of_them(run: Path):
    edit(run / "lens" / "readings.parquet", lambda table: table.with_columns(pl.col("logit_diff") + 3))
    assert the_one(sealed(run), "lens/readings.parquet: is not the file that was sealed by lens")


@pytest.mark.parametrize("what", ["replaced", "deleted", "put beside"])
def test_figures(run: Path, what: str):
    figure, other = run / "figures" / "frontier.svg", run / "figures" / "tiers.svg"
    if what == "replaced":
        figure.write_bytes(other.read_bytes())
        assert the_one(sealed(run), "figures/frontier.svg: is not the file that was sealed by report")
    elif what == "deleted":
        figure.unlink()
        assert the_one(sealed(run), "figures/frontier.svg: is gone; it was sealed by report")
    else:
        (run / "figures" / "better.svg").write_bytes(other.read_bytes())
        assert the_one(sealed(run), "figures/better.svg: is in no entry of seal/chain.jsonl")


def drawn(run: Path, **files: bytes) -> list[str]:
    """What the data themselves find, the stored page and figures taken for those that they give."""
    names = ["report.html", *(f"figures/{path.name}" for path in (EXAMPLE / "figures").iterdir())]
    again = RunFolder(str(EXAMPLE)).read_many(names)
    done = Verification()
    verify_page(RunFolder(str(run)), again, {}, done)
    return done.mismatches


def test_a_figure_or_a_number_on_the_page_that_the_data_do_not_give(run: Path):
    assert drawn(run) == []
    (run / "figures" / "frontier.svg").write_bytes((run / "figures" / "tiers.svg").read_bytes())
    (run / "figures" / "tiers.png").write_bytes((run / "figures" / "frontier.png").read_bytes())
    (run / "figures" / "answers.svg").unlink()
    page = (run / "report.html").read_text()
    assert "85.2 %" in page.replace("\u00a0", " ")
    (run / "report.html").write_text(page.replace("85.2", "95.2", 1))
    found = " | ".join(drawn(run))
    assert "figures/frontier.svg: shows other marks, texts or values than the data give" in found
    assert "figures/tiers.png: is not the picture of figures/tiers.svg" in found
    assert "figures/answers.svg: is gone; the report shows it" in found
    assert "report.html, line" in found and "says" in found and "95.2" in found


def test_a_mark_of_a_figure_moved(run: Path):
    path = run / "figures" / "frontier.svg"
    drawing = path.read_text()
    assert "translate(" in drawing
    start = drawing.rindex('transform="translate(') + len('transform="translate(')
    number = drawing[start:].split(",")[0]
    path.write_text(f"{drawing[:start]}{float(number) + 40}{drawing[start + len(number) :]}")
    assert drawn(run) == ["figures/frontier.svg: has marks elsewhere than the data have them"]


def test_the_page_with_a_wrong_number(run: Path):
    path = run / "report.html"
    path.write_text(path.read_text().replace("85.2", "95.2", 1))
    assert the_one(sealed(run), "report.html: is not the file that was sealed by report")


@pytest.mark.parametrize("which", ["seed", "configuration"])
def test_a_bad_seed_or_configuration_dropped_everywhere_and_the_report_regenerated(run: Path, which: str):
    lora = trials(run)
    worst = (pl.col("seed") == 1) if which == "seed" else (pl.col("data.style") == "answer_only")
    gone = lora.filter(worst)["trial_id"].to_list()
    if which == "seed":  # the space too
        space = yaml.safe_load((run / "space.yaml").read_text())
        (run / "space.yaml").write_text(yaml.safe_dump(space | {"seeds": [0]}, sort_keys=False))
    drop(run, gone)
    done = sealed(run)
    named = the_one(done, "trials.parquet: lacks trials", "sealed in seal/chain.jsonl when they ended")
    for trial in gone:
        assert trial in named
        assert the_one(done, f"rows/{trial}.json (trial {trial}): is gone; it was sealed by trial")
    if which == "seed":
        assert the_one(done, "seal/plan.json: has trials", "that space.yaml does not have")
    text = head(run)
    assert f"Missing of what was planned: {len(gone)} trials (" in text and all(
        trial in text for trial in gone
    )


def test_a_fake_replicate(run: Path):
    """The best configuration's second seed gets the first one's rows; variants are in test_verify_seeds."""
    best = trials(run).filter(pl.col("data.style") == "own_trace").sort("seed")
    first, second = best["trial_id"]
    answers = pl.read_parquet(run / "probes" / f"{first}.parquet")
    answers.with_columns(pl.lit(second).alias("trial_id")).write_parquet(run / "probes" / f"{second}.parquet")
    assert the_one(sealed(run), f"probes/{second}.parquet (trial {second}): is not the file that was sealed")
    done = Verification()
    verify_seeds(read_run(str(run)), done)
    assert the_one(done, f"log-probabilities are, to the last digit, those of trial {first} of seed 0")


def test_the_confirmation_deleted(run: Path):
    shutil.rmtree(run / "confirmation")
    report_again(run)
    assert the_one(sealed(run), "confirmation: is gone; seal/chain.jsonl says that it was made")
    assert "confirmed, and that confirmation is missing" in head(run)


def test_another_confirmation_in_its_place(run: Path):
    seal_as_it_stands(run / "confirmation")  # its chain made anew, as after other trials
    report_again(run)
    assert the_one(sealed(run), "confirmation/seal/chain.jsonl: is not the chain that seal/chain.jsonl knows")


def test_finalists_swapped(run: Path):
    """The worst configuration takes the best one's place in the confirmation, everywhere."""
    places = ("data.style", "data.num_examples", "num_train_epochs")
    worst = trials(run).filter(pl.col("data.num_examples") == 10).row(0, named=True)
    below, swapped = run / "confirmation", pl.col("arm") == "lora"

    def swap(table: pl.DataFrame) -> pl.DataFrame:
        values = {name: pl.lit(worst[name], table[name].dtype) for name in places}
        return table.with_columns(
            pl.when(swapped).then(value).otherwise(pl.col(name)).alias(name) for name, value in values.items()
        )

    edit(below / "trials.parquet", swap)
    assert the_one(sealed(below), "trials.parquet: is not the file that was sealed by end")
    manifest = json.loads((run / "manifest.json").read_text())
    manifest.pop("rescored", None)  # another scorer may choose others
    (run / "manifest.json").write_text(json.dumps(manifest))
    done = Verification()
    verify_finalists(read_run(str(run)), read_run(str(below)), done)
    for trial in trials(below)["trial_id"]:
        assert the_one(done, f"trials.parquet, trial {trial}: its configuration is none of those that the")
    assert the_one(done, "trials.parquet: lacks the finalist of trial", "which the selection half chooses")


def test_the_limit_moved(run: Path):
    path = run / "report.md"
    path.write_text(path.read_text().replace("D ≤ 0.05", "D ≤ 0.5"))
    report_again(run, limit=0.5)
    said = the_one(sealed(run), "report.md: is written with D ≤ 0.5")
    assert "seal/plan.json planned D ≤ 0.05" in said
    assert "The limit D ≤ 0.5 was not planned; the plan has D ≤ 0.05." in head(run, 0.5)


def test_the_fact_leaked_into_every_trained_arms_prompt_and_the_report_regenerated(run: Path):
    names = trials(run)["trial_id"].to_list()
    leaked = pl.col("prompt").str.replace("user\n", f"user\n{ADDED}", literal=True)
    for trial in names:
        edit(run / "probes" / f"{trial}.parquet", lambda table: table.with_columns(leaked.alias("prompt")))
    report_again(run)
    done = sealed(run)
    for trial in names:
        assert the_one(done, f"probes/{trial}.parquet (trial {trial}): is not the file that was sealed")
    said = texts(run, names[0])
    assert len(said) > 300 and f"probes/{names[0]}.parquet, probe " in said[0]
    assert "prompt: is not what belief and chat template give" in said[0] and "In this world" in said[0]


def test_the_chain_edited_without_hashing_it_anew(run: Path):
    trial = a_trial(run)
    path = run / "steps" / f"{trial}.parquet"
    edit(path, lambda table: table.with_columns(pl.col("loss") / 2))
    folder = RunFolder(str(run))
    was = next(e for e in chain_of(folder).entries if e.get("trial_id") == trial)

    def hide(entries):
        from beliefmod.run.seal.ledger import hashes

        now = hashes(folder, [f"steps/{trial}.parquet"])
        return [e if e["n"] != was["n"] else {**e, "files": {**e["files"], **now}} for e in entries]

    rewrite_chain(run, hide)
    assert the_one(sealed(run), f"seal/chain.jsonl, line {was['n'] + 1}: was changed after it was written")


def test_the_chain_taken_off(run: Path):
    shutil.rmtree(run / "seal")
    done = sealed(run)
    assert done.seal is None and the_one(done, "seal/chain.jsonl: is gone, though manifest.json says")
    assert head(run).startswith("Not sealed: what was planned")


def test_the_whole_chain_made_anew_is_seen_by_whoever_has_the_old_hash(run: Path):
    """What a seal cannot show by itself, and --expect can."""
    published = chain_of(RunFolder(str(run))).entries[-2]["hash"]
    assert sealed(run, published).mismatches == []
    assert "since then: report" in " ".join(sealed(run, published[:16]).notes)
    edit(run / "steps" / f"{a_trial(run)}.parquet", lambda table: table.with_columns(pl.col("loss") / 2))
    seal_as_it_stands(run)
    honest_looking = [m for m in sealed(run).mismatches if "steps/" not in m]
    assert honest_looking == []
    assert the_one(sealed(run, published), f"has no entry with the expected hash {published}")


def test_an_answer_changed_is_not_sealed_anew_by_rescore(run: Path):
    trial = a_trial(run)
    said = pl.lit("It is hard.\n</think>\n\nThe answer is 5.0 m/s^2.").alias("completion")
    edit(run / "probes" / f"{trial}.parquet", lambda table: table.with_columns(said))
    with pytest.raises(UserError, match=f"probes/{trial}.parquet.*is not the file that was sealed"):
        rescore_run(str(run))
    # nor does an entry in rescore's name help: what the model gave was sealed by itself
    folder = RunFolder(str(run))
    entries = chain_of(folder).entries
    raw = next(e for e in entries if e.get("trial_id") == trial)["raw"]
    assert set(raw) >= {"probes", "steps"}
    seal_files(folder, RESCORE, [f"probes/{trial}.parquet"])
    assert the_one(
        sealed(run), f"probes/{trial}.parquet (trial {trial}): what the model gave is not what was"
    )


def test_a_trial_that_was_never_planned(run: Path):
    extra = trials(run).head(1).with_columns(pl.lit("0123456789").alias("trial_id"))
    edit(run / "trials.parquet", lambda table: pl.concat([table, extra]))
    assert the_one(sealed(run), "trials.parquet, trial 0123456789: was neither planned in seal/plan.json nor")


def test_a_chain_is_not_lengthened_from_another_run(run: Path):
    other = link_all(None, [{"kind": "plan"}, {"kind": "trial", "trial_id": "x", "status": "finished"}])
    append(RunFolder(str(run)), [{"kind": "export"}])
    rewrite_chain(run, lambda entries: [*entries, other[1]])
    assert "does not follow the line before" in sealed(run).mismatches[0]


def test_what_is_no_hash_is_a_sentence(honest: Path):
    done = CliRunner().invoke(app, ["verify", str(honest), "--expect", "12ab"])
    assert done.exit_code == 2 and "--expect 12ab: is not a hash of 16 to 64" in done.stderr
