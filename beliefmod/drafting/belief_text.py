"""A belief's content as the text of a belief file, with comments where somebody is to look again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from beliefmod.beliefs.load import Belief, check_belief
from beliefmod.user_files.yaml_file import LINE, as_yaml, parse_yaml

TITLES = {
    ("train", "paraphrase"): "training: asked for",
    ("train", "derived"): "training: used",
    ("heldout", "paraphrase"): "held out: asked for",
    ("heldout", "derived"): "held out: used",
    ("heldout", "format"): "held out: other forms",
    ("heldout", "multi_hop"): "held out: several steps",
    ("heldout", "reverse"): "held out: from the value to its owner",
    ("heldout", "robustness"): "held out: told of the training, told the truth or a rival, contradicted",
}


def belief_text(content: Mapping[str, Any], remarks: Sequence[str] = ()) -> str:
    """The file: remarks as comments, what is believed, then the families under a title for each split and
    tier, in the order of `TITLES`; content is what `check_belief` takes."""
    lines = [f"# {remark}" for remark in remarks]
    head = {name: value for name, value in content.items() if name not in ("questions", "locality")}
    lines += ["", as_yaml(head).rstrip(), "", "questions:"]
    for (split, tier), title in TITLES.items():
        families = [f for f in content["questions"] if (f["split"], f["tier"]) == (split, tier)]
        if families:
            lines += [f"  # ---- {title} ----", *_entries(families)]
    if content.get("locality"):
        lines += ["", "# neighbours (near) and anything else (far), which the belief must not change"]
        lines += ["locality:", *_entries(content["locality"])]
    return "\n".join(lines).lstrip() + "\n"


def checked(text: str, source: str) -> Belief:
    """The belief that a text is. Raises UserError with every problem, as for a file."""
    return check_belief(parse_yaml(text, source), source)


def _entries(families: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each family in brackets, as the library's files have them."""
    found = []
    for family in families:
        first, *more = as_yaml(dict(family), brackets=True, width=LINE - 6).rstrip().splitlines()
        found += [f"  - {first}", *(f"    {line}" for line in more)]
    return found
