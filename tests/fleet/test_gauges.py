"""Gauges: what is set, and that the shipped Grafana board shows only what exists, and all of it."""

import json
import re
from pathlib import Path

import pytest

from beliefmod.config import TrialConfig
from beliefmod.fleet.gauges import DRIVER, EXPORTED, HOST, Gauges, show_heartbeat, show_tally
from beliefmod.metrics.registry import DAMAGE_BUDGET
from beliefmod.monitor.tally import Tally

BOARD = json.loads((Path(__file__).parents[2] / "docs" / "grafana" / "beliefmod.json").read_text())
EXPRESSIONS = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
KINDS = {**DRIVER, **HOST}


class Recorded(Gauges):
    """Keeps what is set, and checks it as Ray does."""

    def __init__(self):
        super().__init__(KINDS)
        self.values = {}

    def set(self, name, value, **labels):
        if value is not None:
            assert set(labels) == set(KINDS[name].labels)
            self.values[(name, *(labels[label] for label in sorted(labels)))] = value


def test_the_tally_is_shown():
    trials = [TrialConfig(belief="gravity", seed=seed) for seed in range(6)]
    tally = Tally({config.trial_id: config for config in trials}, started=0.0, unchosen=1)
    ids = [config.trial_id for config in trials]
    tally.report(ids[0], {"status": "finished", "optimizer_step": 9, "adoption": 0.5, "degradation": 0.01})
    tally.report(ids[1], {"status": "failed", "optimizer_step": 2})
    tally.report(ids[2], {"status": "training", "optimizer_step": 3})
    tally.report(ids[3], {"status": "training", "optimizer_step": 3})
    tally.stop(ids[3])
    gauges = Recorded()
    show_tally(gauges, tally, "run", 10.0)
    found = {place[2]: value for place, value in gauges.values.items() if place[0] == "beliefmod_trials"}
    assert found == {"waiting": 3, "training": 1, "finished": 1, "failed": 1, "stopped": 1}
    assert gauges.values[("beliefmod_best_adoption", "gravity", "run")] == 0.5
    assert gauges.values[("beliefmod_seconds_left", "run")] == pytest.approx(tally.seconds_left(10.0))


def test_a_host_is_shown():
    heartbeat = {"host": "h", "slots": 4, "occupied": 3, "fraction": 0.1, "tokens_per_second": {"train": 7.0}}
    gauges = Recorded()
    show_heartbeat(gauges, heartbeat, "run")
    assert gauges.values == {
        ("beliefmod_slots", "h", "run"): 4,
        ("beliefmod_slots_occupied", "h", "run"): 3,
        ("beliefmod_fraction_of_limit", "h", "run"): 0.1,
        ("beliefmod_tokens_per_second", "train", "h", "run"): 7.0,
    }


def test_without_ray_gauges_do_nothing():
    gauges = Gauges(KINDS)
    gauges.set("beliefmod_slots", 1.0, run="run", host="h")
    assert gauges._made == {}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_board_names_gauges_and_labels_that_exist(expression):
    [(name, labels)] = re.findall(r"(ray_\w+)\{([^}]*)\}", expression)
    assert name in EXPORTED
    known = {*KINDS[name.removeprefix("ray_")].labels}
    by = re.findall(r"by \(([^)]*)\)", expression)
    assert {*re.findall(r"(\w+)=", labels), *(word for group in by for word in group.split(", "))} <= known


def test_the_board_shows_every_gauge():
    shown = {name for expression in EXPRESSIONS for name in re.findall(r"ray_\w+", expression)}
    assert shown == EXPORTED


def test_the_board_is_one_that_grafana_takes():
    # the fields of Grafana's dashboard model that an import cannot do without; no Grafana has loaded it here
    assert BOARD["title"] and BOARD["uid"] and BOARD["schemaVersion"] >= 30
    identities = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(identities)) == len(identities)
    for panel in BOARD["panels"]:
        assert panel["type"] in ("timeseries", "stat") and panel["title"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)
    names = [variable["name"] for variable in BOARD["templating"]["list"]]
    assert names == ["datasource", "run"]
    [run] = [variable for variable in BOARD["templating"]["list"] if variable["name"] == "run"]
    assert re.findall(r"ray_\w+", run["query"]["query"]) == ["ray_beliefmod_trials"]
    assert f"{DAMAGE_BUDGET:g}" in BOARD["panels"][1]["title"]


def test_the_documented_metrics_are_the_exported_ones():
    text = (Path(__file__).parents[2] / "docs" / "watching.md").read_text()
    for name, kind in KINDS.items():
        assert f"| `ray_{name}` | {', '.join(kind.labels)} | {kind.meaning} |" in text
    assert set(re.findall(r"\| `(ray_\w+)`", text)) == EXPORTED
