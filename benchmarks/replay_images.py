"""Curves of a replay as SVG files for documents, which have no style sheet to colour them.

    python benchmarks/replay_images.py shop/replay/2013-06-01_2013-09-01_2d/replay.json images/shop

writes `images/shop-days.svg`, `-papers`, `-loss`, `-overlap`, `-frontier` and so on.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from freshet.report.page import STYLE
from freshet.report.replayed.page import charts


def standing(drawn: str) -> str:
    """An SVG element of the page as a file of its own, with the page's colours, light and dark."""
    colours = re.search(
        r"(:root \{.*?\n\})\n(@media \(prefers-color-scheme: dark\) \{.*?\n\})", STYLE.read_text(), re.S
    )
    if colours is None:
        raise SystemExit("style.css no longer begins with its colours")
    ground = "svg { background: var(--paper); }"
    head, body = drawn.split(">", 1)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)
    sized = head if size is None else f'{head} width="{size[1]}" height="{size[2]}"'
    return f"{sized}><style>{colours[1]} {colours[2]} {ground}</style>{body}\n"


def main() -> None:
    """Write one file per chart that the replay has."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("document", type=Path)
    parser.add_argument("prefix", type=Path)
    parser.add_argument("--only", default="", help="names of charts, comma-separated")
    given = parser.parse_args()
    wanted = set(filter(None, given.only.split(",")))
    for name, drawn in charts(json.loads(given.document.read_text(encoding="utf-8"))).items():
        if drawn and (not wanted or name in wanted):
            path = given.prefix.with_name(f"{given.prefix.name}-{name}.svg")
            path.write_text(standing(str(drawn)), encoding="utf-8")
            print(path)


if __name__ == "__main__":
    main()
