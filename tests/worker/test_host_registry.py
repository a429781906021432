"""Hosts enter themselves, the driver reads it; who would make other numbers is refused. No Ray here."""

import pytest

from beliefmod.errors import UserError
from beliefmod.model.identity import WORDS
from beliefmod.run.folder import MANIFEST
from beliefmod.worker.host_registry import (
    FOLDER,
    Entry,
    HostRegistry,
    difference,
    entries_for_manifest,
    identity,
    read_entries,
)

FACTS = {
    "name": "bundled",
    "fingerprint": "a" * 64,
    "base_storage": "dequantized",
    "dtype": "float32",
    "self_tests": {"untrained_drift": 0.0},
    "decoding": {"eos_ids": (1, 2)},
    "versions": {"torch": "2.13.0", "ray": "2.60.0"},
    "device": "cpu",
    "machine": "m1",
    "accelerators": ["0"],
    "engine": {"slots": 4, "parking": 3, "why": "as asked", "calibration": {"flops": 1.0}},
}


def registry(folder, names=("h0", "h1"), said=None, gone=None) -> HostRegistry:
    folder.write_json({"status": "running"}, MANIFEST)
    say, nobody = (list.append.__get__([] if it is None else it) for it in (said, gone))
    return HostRegistry(folder, 1.0, list(names), say, say, nobody)


def enter(folder, host: str, started_at: float = 1.0, **changes) -> Entry:
    entry = Entry(folder, host, started_at, {**FACTS, **changes})
    entry.write()
    return entry


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fingerprint": "b" * 64}, "model fingerprint bbbbbbbbbbbb... instead of aaaaaaaaaaaa..."),
        ({"versions": {"torch": "2.12.0", "ray": "2.60.0"}}, "torch 2.12.0 instead of 2.13.0"),
        ({"versions": {"torch": "2.13.0"}}, "ray None instead of 2.60.0"),
        ({"self_tests": {"untrained_drift": 1e-3}}, "untrained_drift 0.001 instead of 0.0"),
        ({"dtype": "bfloat16"}, "dtype bfloat16 instead of float32"),
        ({"base_storage": "nf4"}, "base_storage nf4 instead of dequantized"),
        ({"device": "NVIDIA L4", "machine": "m2", "engine": {"slots": 9}}, None),
    ],
)
def test_what_makes_other_numbers(changes, words):
    assert difference(identity(FACTS), identity({**FACTS, **changes})) == words


def test_a_host_compares_itself_with_the_first(folder):
    lone = enter(folder, "h1", fingerprint="b" * 64)
    assert lone.misfit() is None  # nobody keeps a registry yet, as in beliefmod's own tests
    said, gone = [], []
    driver = registry(folder, said=said, gone=gone)
    driver.open("h0", FACTS)
    assert enter(folder, "h0").misfit() is None
    assert lone.misfit() == "model fingerprint bbbbbbbbbbbb... instead of aaaaaaaaaaaa..."
    driver.close()
    assert said == [
        "h1 on m1 was refused: it differs from h0 (model fingerprint bbbbbbbbbbbb... instead of "
        "aaaaaaaaaaaa...)"
    ]
    assert not gone
    engines = folder.read_json(MANIFEST)["engines"]
    assert {engine["host"]: engine.get("refused", "")[:10] for engine in engines} == {
        "h0": "",
        "h1": "it differs",
    }


def test_hosts_of_other_sizes_are_said_and_all_are_recorded(folder):
    said = []
    driver = registry(folder, ("h0", "h1", "h2"), said)
    driver.open("h0", FACTS)
    enter(folder, "h0")
    enter(folder, "h1")
    driver.look()
    enter(folder, "h2", machine="m2", device="NVIDIA L4", engine={"slots": 9, "parking": 9})
    driver.look()
    driver.look()
    assert said == ["h2 on m2 has 9 slots on NVIDIA L4"]  # once
    enter(folder, "h1", remark="it holds GPU 0, which torch cannot use")  # started again
    driver.close()
    assert said[1:] == ["h1 on m1: it holds GPU 0, which torch cannot use"]
    engines = folder.read_json(MANIFEST)["engines"]
    assert [(e["host"], e["machine"], e["slots"], e["accelerators"]) for e in engines] == [
        ("h0", "m1", 4, ["0"]), ("h1", "m1", 4, ["0"]), ("h2", "m2", 9, ["0"]), ("h1", "m1", 4, ["0"]),
    ]  # fmt: skip
    assert all("calibration" not in engine and "versions" not in engine for engine in engines)


def test_the_sweep_ends_when_nobody_is_left(folder):
    said, gone = [], []
    driver = registry(folder, said=said, gone=gone)
    driver.open("h0", FACTS)
    enter(folder, "h0")
    enter(folder, "h1", fingerprint="b" * 64).misfit()
    driver.look()
    assert not gone
    enter(folder, "h0", versions={"torch": "2.12.0", "ray": "2.60.0"}).misfit()  # came back elsewhere
    driver.close()
    assert len(gone) == 1 and gone[0].startswith("every host was refused (h0, h1): it differs from h0 (torch")


def test_who_was_left_out_at_the_start_is_recorded_but_not_said_again(folder):
    said = []
    driver = registry(folder, ("h0",), said)
    driver.open("h0", FACTS)
    Entry(folder, "h9", 1.0, {"machine": "m2"}).write(refused="the model does not fit")
    driver.close()
    assert not said
    assert folder.read_json(MANIFEST)["engines"] == [
        {"host": "h9", "machine": "m2", "refused": "the model does not fit"}
    ]


def test_entries_of_earlier_sessions_are_kept_but_not_said(folder):
    enter(folder, "h0", started_at=0.5, device="NVIDIA T4")
    said = []
    driver = registry(folder, said=said)
    driver.open("h0", FACTS)
    enter(folder, "h0")
    folder.write_bytes(b"{", FOLDER, "h1-damaged.json")
    driver.close()
    assert not said
    assert [entry["started_at"] for entry in read_entries(folder)] == [0.5, 1.0]
    assert len(entries_for_manifest(read_entries(folder))) == 2


def test_a_run_goes_on_with_its_own_weights_only(folder):
    driver = registry(folder)
    folder.write_json({"model": {"fingerprint": "b" * 64}}, MANIFEST)
    driver.open("h0", FACTS)  # no results yet
    driver.close()
    folder.write_json({"model": {"fingerprint": "b" * 64}}, MANIFEST)
    row = {"trial_id": "t", "belief": "gravity", "arm": "base", "seed": 0, "status": "finished"}
    folder.write_trial(row)
    with pytest.raises(
        UserError,
        match=r"bundled is not the model that its results are of, changed: weights \(b{12} then, a{12} now\)",
    ):
        HostRegistry(folder, 2.0, ["h0"], print, print).open("h0", FACTS)


@pytest.mark.parametrize("part", ["configuration", "tokenizer", "chat_template", "generation"])
@pytest.mark.parametrize("kind", ["resumed", "confirmation"])
def test_a_run_goes_on_only_with_every_part_of_its_model_as_it_was(folder, kind, part):
    identity = {"configuration": "c" * 64, "tokenizer": "d" * 64, "generation": "e" * 64}
    identity["chat_template"] = "f" * 64
    facts = {**FACTS, "identity": identity}
    confirmation = {"confirmation": {"top": 5}} if kind == "confirmation" else {}
    folder.write_json({"model": {"identity": {**identity, part: "0" * 64}}, **confirmation}, MANIFEST)
    if kind == "resumed":
        folder.write_trial(
            {"trial_id": "t", "belief": "gravity", "arm": "base", "seed": 0, "status": "finished"}
        )
    with pytest.raises(UserError) as caught:
        HostRegistry(folder, 2.0, ["h0"], print, print).open("h0", facts)
    [problem] = caught.value.problems
    assert f"changed: {WORDS[part]} (000000000000 then, " in problem and problem.count(" then, ") == 1
    folder.write_json({"model": {"identity": identity}, **confirmation}, MANIFEST)
    driver = HostRegistry(folder, 2.0, ["h0"], print, print)
    driver.open("h0", facts)
    driver.close()


def test_a_host_whose_model_differs_in_any_part_is_refused(folder):
    driver = registry(folder)
    driver.open("h0", {**FACTS, "identity": {"tokenizer": "d" * 64}})
    other = enter(folder, "h1", identity={"tokenizer": "e" * 64})
    assert other.misfit() == "tokenizer eeeeeeeeeeee... instead of dddddddddddd..."
    driver.close()
