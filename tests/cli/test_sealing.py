"""What commands write into a run's chain, without a cluster: a run made, its session ended, exported."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from typer.testing import CliRunner

from analysis.verify.verify_seal import verify_seal
from analysis.verify.verify_trials import Verification
from beliefmod.cli.app import app
from beliefmod.cli.prepare_sweep import new_run
from beliefmod.cli.sweep import settle
from beliefmod.run.folder import RunFolder
from beliefmod.run.seal.ledger import chain_of
from beliefmod.run.seal.sealed_plan import read_plan
from beliefmod.run.seal.sessions import seal_session
from beliefmod.run.seal.trial_seals import TrialSeals
from beliefmod.space import Space, SpaceFile

SPEC = {
    "name": "sealed",
    "beliefs": ["gravity"],
    "axes": {"lora.r": [4, 8]},
    "seeds": [0, 3],
    "damage_limit": 0.1,
}


def test_a_run_is_planned_before_its_first_trial_and_sealed_to_its_end(tmp_path: Path, capsys):
    space = Space(SpaceFile.model_validate(SPEC), "sealed.yaml")
    folder = new_run(space, str(tmp_path))
    plan = read_plan(folder)
    assert plan is not None and plan.seeds == (0, 3) and plan.damage_limit == 0.1
    assert plan.trials == tuple(config.trial_id for config in space.trials())
    assert {"space.yaml", "beliefs/gravity.yaml", "suites/capability.yaml"} <= plan.files.keys()
    assert plan.space["axes"] == {"lora.r": [4, 8]} and "hypotheses" in plan.space and "torch" in plan.code
    assert folder.read_json("manifest.json")["sealed"] is True

    seal_session(folder)
    first = plan.trials[0]
    folder.write_trial({"trial_id": first, "arm": "base", "belief": "gravity", "status": "finished"})
    TrialSeals(folder).catch_up()
    folder.assemble()
    ended = {"finished": 1, "failed": 0, "stopped": 0, "missing": len(plan.trials) - 1}
    settle(folder, SimpleNamespace(**ended, interrupted=True, wall_seconds=1.0, limit=None, added=0))  # type: ignore[arg-type]
    chain = chain_of(folder)
    assert [entry["kind"] for entry in chain.entries] == ["plan", "session", "trial", "end"]
    assert f"seal: {chain.last} (4 entries)" in capsys.readouterr().out
    assert chain.entries[-1]["counts"] == ended

    done = Verification()
    verify_seal(folder, [first], done)
    assert done.mismatches == [] and f"planned and not run yet: trials {plan.trials[1]}, " in done.notes[0]

    assert CliRunner().invoke(app, ["export", folder.url]).exit_code == 0
    last = chain_of(RunFolder(folder.url)).entries[-1]
    assert (last["kind"], last["tables"], last["previous"]) == ("export", ["trials"], chain.last)
    lines = Path(folder.path("seal", "chain.jsonl")).read_text().splitlines()
    assert [json.loads(line)["n"] for line in lines] == [0, 1, 2, 3, 4]
