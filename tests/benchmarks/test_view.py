"""The benchmark of `beliefmod view`: its synthetic run is a run, and all that is timed can be asked."""

from pathlib import Path

from beliefmod.run.read_run import read_run
from benchmarks.view import make_run, time_view


def test_a_synthetic_run_is_viewed(tmp_path: Path) -> None:
    trial = make_run(tmp_path / "run", 30)
    run = read_run(str(tmp_path / "run"))
    assert run.trials.filter(arm="lora").height == 30
    assert run.trials.filter(arm="lora").select("learning_rate", "num_train_epochs").is_unique().all()
    found = time_view(tmp_path / "run", trial)
    assert all(waited > 0 for waited, _, _ in found.values())
    assert all(size > 0 for name, (_, _, size) in found.items() if name != "until it listens")
