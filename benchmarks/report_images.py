"""The curves of an experiment's report as SVG files for documents, which have no style sheet.

    python benchmarks/report_images.py sim/experiments/simulated/report.html docs/images/experiment --only 1,2

writes `docs/images/experiment-1.svg` and so on, numbered as they stand on the page.
"""

from __future__ import annotations

import re
from pathlib import Path

from replay_images import standing
from shared import parse, parser, tell, workspace


def main() -> None:
    """Write the files, and say what each shows."""
    made = parser(__doc__)
    made.add_argument("page", type=Path, nargs="?")
    made.add_argument("prefix", nargs="?", default="report")
    made.add_argument("--only", default="", help="numbers; all by default")
    made.add_argument("--workspace", type=Path, help="of a quick run, which takes the page of a replay")
    options = parse(made, "page")
    if not options.quick:
        tell(options, {"images": written(options.page, options.prefix, options.only)})
        return
    with workspace(options, replayed=True) as root:
        page = next(root.glob("replay/*/replay.html"))
        tell(options, {"images": written(page, str(root / "page"), options.only)})


def written(page: Path, prefix: str, only: str) -> dict[str, str]:
    """Image -> its label."""
    wanted = {int(number) for number in only.split(",") if number}
    found = {}
    for number, svg in enumerate(re.findall(r"<svg.*?</svg>", page.read_text(encoding="utf-8"), re.S), 1):
        if not wanted or number in wanted:
            path = Path(f"{prefix}-{number}.svg")
            path.write_text(standing(svg), encoding="utf-8")
            label = re.search(r'aria-label="([^"]*)"', svg)
            found[str(path)] = label[1] if label else ""
    return found


if __name__ == "__main__":
    main()
