"""`python -m tests.gold`: how the scorer does on the labelled completions.

`--errors` also prints what is misread; `--write` writes the figures that README and the report quote.
"""

from __future__ import annotations

import json
import sys

from beliefmod.reading.measured_error import FILE
from tests.gold.items import PARTS, groups
from tests.gold.measure import score, shares, table


def main(arguments: list[str]) -> None:
    """Print the table of each part; see the module's docstring for the options."""
    figures = {}
    for part, items in groups().items():
        reads = score(items)
        figures[part] = {name: [share.hits, share.n] for name, share in shares(reads).items()}
        print(f"## {part}: {len(reads)} completions\n\n{table(reads)}\n")
        if "--errors" in arguments and part in PARTS:
            for read in reads:
                for name, (label, scored) in read.wrong().items():
                    print(f"{read.item.id} {name}: labelled {label}, scored {scored}")
                    print(f"  {read.item.question!r}\n  {read.item.completion!r}")
    if "--write" in arguments:
        FILE.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
