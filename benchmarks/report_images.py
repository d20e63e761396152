"""The curves of an experiment's report as SVG files for documents, which have no style sheet.

    python benchmarks/report_images.py sim/experiments/simulated/report.html docs/images/experiment --only 1,2

writes `docs/images/experiment-1.svg` and so on, numbered as they stand on the page.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from replay_images import standing


def main() -> None:
    """Write the files, and say what each shows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("prefix")
    parser.add_argument("--only", default="", help="numbers; all by default")
    options = parser.parse_args()
    wanted = {int(number) for number in options.only.split(",") if number}
    drawn = re.findall(r"<svg.*?</svg>", options.page.read_text(encoding="utf-8"), re.S)
    for number, svg in enumerate(drawn, start=1):
        if not wanted or number in wanted:
            path = Path(f"{options.prefix}-{number}.svg")
            path.write_text(standing(svg), encoding="utf-8")
            label = re.search(r'aria-label="([^"]*)"', svg)
            print(path, label[1] if label else "")


if __name__ == "__main__":
    main()
