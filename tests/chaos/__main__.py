"""`python -m tests.chaos --kills 100 --seed 1`: exit code 0 if the tables are as if nothing had happened."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.chaos.chaos import rehearse


def main() -> int:
    """Run, and say what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="beliefmod-chaos-"))
    wrong = rehearse(folder, given.kills, given.seed, lambda line: print(line, flush=True))
    for line in wrong:
        print(line)
    print(f"{len(wrong)} differences; see {folder}" if wrong else "every table as if nothing had happened")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
