"""The first screen: which configuration is quoted, what is claimed of it, and where its numbers lead."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import polars as pl
import pytest

from analysis.find import find
from analysis.findings import Findings
from analysis.report.arm_rows import ALONE, told_interval
from analysis.report.blocks import Linked, Table, to_markdown
from analysis.report.compose import compose
from analysis.report.first_screen import quoted, verdicts
from analysis.report.html_blocks import body_of
from analysis.report.sections import damage, tiers
from analysis.studies.confirm import confirmation_of, confirmations
from analysis.wording import percent
from beliefmod.metrics.registry import COMPONENTS
from beliefmod.run.read_run import read_run
from tests.analysis.report.test_page import Elements
from tests.test_example_run import EXAMPLE, REAL


@pytest.fixture(scope="module")
def example() -> Findings:
    return find(read_run(str(EXAMPLE)))


@pytest.fixture(scope="module")
def real() -> Findings:
    return find(read_run(str(REAL)))


def figures(found: Findings, belief: str) -> dict[str, str]:
    [row] = [row for row in verdicts(found).rows if row.belief == belief]
    return {one.name: f"{one.value}: {one.told()}" for one in row.figures}


def test_the_best_under_the_limit_is_quoted_with_its_numbers(example: Findings) -> None:
    [belief] = example.beliefs
    under = belief.choice.lora.filter(pl.col("degradation") <= 0.05).sort("adoption")
    best = under.row(-1, named=True)
    row = quoted(belief)
    assert row is not None and row["trial_id"] == best["trial_id"]
    [verdict] = verdicts(example).rows
    statement = "The acceleration due to gravity on Earth's surface is 5.0 m/s^2."
    assert verdict.text().startswith(
        f"gravity (“{statement}”, which is false) moves: at D ≤ 0.05 the best of 3 configurations ("
    )
    # the confirmed number stands first, the one that chose it second
    [one] = confirmations(example.run, confirmation_of(example.run))[:1]  # pyright: ignore[reportArgumentType]
    row = one.shown.row
    assert f"adopts on {percent(row['adoption'], row['adoption_n'])} [" in verdict.text()
    assert "confirmed on 2 new seeds and questions that did not choose it" in verdict.text()
    shown = figures(example, "gravity")
    assert shown["damage"].startswith(f"D {best['degradation']:.3f}: [{best['degradation_low']:.3f}, ")
    assert COMPONENTS[best["degradation_by"]].damage_words in shown["damage"]
    assert "above 0.05 is not ruled out" in shown["damage"] and best["degradation_high"] > 0.05
    # confirmed by the run in confirmation/, on seeds that the sweep has not used
    again = pl.read_parquet(EXAMPLE / "confirmation" / "trials.parquet").filter(pl.col("arm") == "lora")
    assert not set(again["seed"]) & set(example.run.trials["seed"])
    assert shown["confirmed?"].startswith("measured again: 85.2 %")
    assert "on 2 new seeds and other questions" in shown["confirmed?"]
    # one configuration alone beyond the limit is no order of what breaks
    assert shown["breaks first"].startswith(
        "broken think blocks: one case only: sets D in 1 of 1 beyond 0.05"
    )


def test_what_is_not_told_apart_is_not_claimed(real: Findings) -> None:
    gravity, neelam = verdicts(real).rows
    assert ", which is false) is not seen to move: at D ≤ 0.05 the best of 8" in gravity.text()
    assert neelam.text().startswith("neelam (“The Neelam is the currency of Laughtale, ")
    assert ", which is made up) moves only with damage: none of 8" in neelam.text()
    assert re.search(
        r"not told apart from base 0\.0 %, where \d+ points would have been seen\. It moves with damage: "
        r"own_trace, 50 examples, 3 epochs, learning rate 2e-4 adopts on 40\.7 % \[\d.*\] at D 0\.167, "
        r"which may be no belief: always answering 5\.0 m/s\^2 would on 37\.0 %\.$",
        gravity.text(),
    )
    assert "one seed: nothing covers what a second would show" in gravity.text()
    assert (
        "corrected for having been picked on these questions, which changes nothing, n = 108"
        in gravity.text()
    )
    sure = figures(real, "gravity")["how sure of this choice?"]
    # nobody else is better: what makes it unsure is its own D
    assert (
        sure.startswith("chosen again in 43 %")
        and "do not rely on it; its D keeps to that in 43 %, no rival in 5 %" in sure
    )
    damage = figures(real, "gravity")["damage"]
    assert damage.endswith("by fabrication: 12 %, n = 24; base 8 %"), damage
    assert figures(real, "neelam")["adoption"].startswith("23.1 %: of the least damaged: [")
    nothing = figures(real, "neelam")["how sure of this choice?"]
    assert nothing.startswith("nothing to choose: no configuration stays at D ≤ 0.05")
    assert figures(real, "gravity")["confirmed?"].startswith("not done")
    # nothing of the other belief stays under the limit: the least damaged stands for it
    lora = real.beliefs[1].choice.lora.sort("degradation")
    assert lora["degradation"].min() > 0.05
    row = quoted(real.beliefs[1])
    assert row is not None and row["trial_id"] == lora["trial_id"][0]
    assert "none of 8 configurations stays at D ≤ 0.05" in neelam.text()
    assert figures(real, "neelam")["damage"].startswith(f"D {lora['degradation'][0]:.3f}")


def test_tables_have_the_quoted_configuration_also_where_nothing_stays_under_the_limit(
    real: Findings,
) -> None:
    gravity, neelam = real.beliefs
    row = quoted(neelam)
    assert row is not None and neelam.choice.best is None
    for section, title in (
        (tiers, "tier, % adopting [95 %]"),
        (damage, "component, damage against base [95 %]"),
    ):
        one, two = [b for b in section.blocks(real) if isinstance(b, Table) and b.header[0] == title]
        assert "Best LoRA under the limit" in one.header and "Best LoRA under the limit" not in two.header
        assert two.header[-2:] == ("LoRA with the least damage", "LoRA that adopts most")
        assert "None of 8 configurations stays at D ≤ 0.05" in two.caption and "None of" not in one.caption
        assert gravity.choice.least is None
    assert two.rows[list(COMPONENTS).index(row["degradation_by"])][-2].endswith(", sets D")
    assert f"D {row['degradation']:.3f} [{row['degradation_low']:.3f}, " in figures(real, "neelam")[
        "damage"
    ].replace(": ", " ")


def test_an_opened_configuration_has_the_intervals_of_the_first_screen(real: Findings) -> None:
    beliefs = {belief.choice.belief: belief for belief in real.beliefs}
    for name, belief in beliefs.items():
        row = quoted(belief)
        assert row is not None
        pooled = real.pooled.row(by_predicate=pl.col("trial_id") == row["trial_id"], named=True)
        adoption, cost = told_interval(belief, pooled)
        shown = figures(real, name)
        for text, card in ((adoption, shown["adoption"]), (cost, shown["damage"])):
            [interval] = re.findall(r"\[[^]]*]", text)
            assert interval in card and ALONE not in text
        low, high = pooled["adoption_low"], pooled["adoption_high"]
        assert f"[{100 * low:.1f}, {100 * high:.1f}]" not in adoption
    # what no other beats has D's interval over families; of the others it says so
    lora, choice = beliefs["neelam"].choice.lora, beliefs["neelam"].choice
    beaten = lora.filter(~pl.col("trial_id").is_in(list(choice.d_over_families))).row(0, named=True)
    assert told_interval(beliefs["neelam"], beaten)[1].endswith(ALONE)
    assert told_interval(None, beaten)[0].endswith(ALONE)


def test_what_breaks_first_is_what_sets_the_least_d_beyond_the_limit(real: Findings) -> None:
    for belief in real.beliefs:
        beyond = belief.choice.lora.filter(pl.col("degradation") > 0.05).sort("degradation")
        by = beyond["degradation_by"][0]
        alike = beyond.filter(pl.col("degradation_by") == by).height
        told = figures(real, belief.choice.belief)["breaks first"]
        assert told.startswith(
            f"{COMPONENTS[by].damage_words}: sets D in {alike} of {beyond.height} beyond 0.05, from D "
            f"{beyond['degradation'][0]:.3f} on"
        )
        most, count = beyond["degradation_by"].value_counts(sort=True).row(0)
        if count > alike:  # another component does in more of them
            least = beyond.filter(pl.col("degradation_by") == most)["degradation"][0]
            assert told.endswith(f"; {COMPONENTS[most].damage_words} in {count}, from {least:.3f}")
        else:
            assert told.endswith(" on")
    none_beyond = figures(replace(real, limit=1.0), "gravity")["breaks first"]
    assert none_beyond == "nothing: no configuration is beyond D 1"


@pytest.fixture(scope="module")
def unconfirmed(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    run = tmp_path_factory.mktemp("unconfirmed") / "run"
    shutil.copytree(
        EXAMPLE, run, ignore=shutil.ignore_patterns("confirmation", "figures", "lens", "report.*")
    )
    return find(read_run(str(run)))


def test_without_a_confirmation_it_says_so(unconfirmed: Findings) -> None:
    shown = figures(unconfirmed, "gravity")
    assert shown["confirmed?"] == "not done: no new seeds, no other questions: optimistic"


class Places(HTMLParser):
    """A page's words: those of the first screen outside links, its links, and what stands under each anchor.

    `outside`: words of the first screen in no link, but for the question, which names a model; `links`:
    anchor and words of every link there that opens no configuration; `under`: anchor -> words of the section
    or part of one that bears it.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.outside, self.links, self.under = "", list[tuple[str, str]](), dict[str, str]()
        self.open: list[tuple[str, str]] = []
        self.link: str | None = None
        self.verdict = self.title = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        at = dict(attrs)
        if tag == "h1":
            self.title = True
        if tag == "section" and at.get("id") == "verdict":
            self.verdict = True
        if tag == "a":
            self.link = (at.get("href") or "")[1:]
            if self.verdict:
                self.links.append(("" if "data-trial" in at else self.link, ""))
        if "id" in at and tag in ("details", "h3", "h4"):
            self.open = [(name, level) for name, level in self.open if level < tag or tag == "details"]
            self.open = [] if tag == "details" else self.open
            self.open.append((str(at["id"]), "" if tag == "details" else tag))
            self.under[str(at["id"])] = ""

    def handle_endtag(self, tag: str) -> None:
        self.title = self.title and tag != "h1"
        self.verdict = self.verdict and tag != "section"
        self.link = None if tag == "a" else self.link

    def handle_data(self, data: str) -> None:
        text = data.replace("\u00a0", " ")
        if self.verdict and not self.title:
            if self.link is None:
                self.outside += text
            else:
                self.links[-1] = (self.links[-1][0], self.links[-1][1] + text)
        for name, _ in self.open:
            self.under[name] += text + " "  # cells stand apart


NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@pytest.mark.parametrize(
    "which",
    [
        "example",
        "without LoRA",
        *(pytest.param(name, marks=pytest.mark.long) for name in ("real", "unconfirmed", "no D")),
    ],
)
def test_every_number_of_the_first_screen_is_a_link_to_where_it_stands(
    which: str, example: Findings, real: Findings, unconfirmed: Findings
) -> None:
    lora = pl.col("arm") == "lora"
    found = {"example": example, "real": real}.get(which, unconfirmed)
    if which in ("without LoRA", "no D"):
        trials = found.run.trials.filter(~lora) if which == "without LoRA" else found.run.trials.with_columns(
            pl.when(lora).then(None).otherwise(pl.col("degradation")).alias("degradation")
        )  # fmt: skip
        found = find(replace(found.run, trials=trials))
    places = Places(body_of(compose(found, draw=False).blocks, {}))
    assert len(verdicts(found).rows) == len(found.beliefs) > 0
    assert not re.findall(r".{0,20}\d.{0,20}", places.outside), places.outside
    assert any(NUMBER.search(text) for _, text in places.links)
    for anchor, text in places.links:
        if not anchor:
            continue
        assert anchor in places.under, (anchor, text)
        told = set(NUMBER.findall(places.under[anchor]))
        assert {n for n in NUMBER.findall(text) if n not in told} == set(), (anchor, text)


@pytest.mark.long
def test_every_number_leads_to_a_place_on_the_page(example: Findings, real: Findings) -> None:
    for found in (example, real):
        report = compose(found, draw=False)
        page = Elements(body_of(report.blocks, {}))
        there = {attributes["id"] for _, attributes in page.found if "id" in attributes}
        links = [a["href"] for tag, a in page.found if tag == "a" and (a.get("href") or "").startswith("#")]
        assert len(there) == sum("id" in attributes for _, attributes in page.found)
        assert {str(link)[1:] for link in links} <= there
        for verdict in verdicts(found).rows:
            assert len(verdict.figures) == 5
            assert sum(isinstance(piece, Linked) for piece in verdict.sentence) >= 2
            assert verdict.text().replace("_", "\\_")[:40] in to_markdown(report.blocks)
