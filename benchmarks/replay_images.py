"""Curves of a replay as SVG files for documents, which have no style sheet, and its tables in Markdown.

    python benchmarks/replay_images.py shop/replay/2013-06-01_2013-09-01_2d/replay.json images/shop

writes `images/shop-days.svg`, `-papers`, `-loss`, `-overlap`, `-frontier` and so on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from freshet.replay.figures.comparisons import NAMED, negated
from freshet.report import replay_tables
from freshet.report.page_template import STYLE
from freshet.report.replay_page import charts
from shared import parse, parser, tell, workspace

OF_REFERENCE = (("hybrid", "counts-sequence"), ("hybrid", "static"), ("hybrid", "finetune-fresh"))


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


def table(document: dict[str, Any]) -> str:
    """The arms of a replay in Markdown."""
    first = document["reference"]
    told = [
        f"| arm | hit@1 | hit@5 | against `{first}`, points | nll | against `{first}` | cost per 30 days |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in replay_tables.arms(document):
        found, pair = document["arms"][line.arm], document["differences"].get(f"{first}_vs_{line.arm}")
        points = f"{line.ahead.value} {line.ahead.interval}" if line.ahead else "–"
        nats = replay_tables.change(negated(pair["nll"])) if pair else replay_tables.Shown("–", "")
        name = f"**`{line.arm}`**" if line.chosen else f"`{line.arm}`"
        cells = [
            name,
            replay_tables.share(found["hit_at_1"]).value,
            f"{line.hit.value} {line.hit.interval}",
            points,
            line.nll.value,
            f"{nats.value} {nats.interval}".rstrip(),
            line.cost,
        ]
        told.append(f"| {' | '.join(cells)} |")
    return "\n".join(told)


def differences(document: dict[str, Any]) -> str:
    """Differences that answer a question of their own, in Markdown; once more where people have a context."""
    told = [
        "| difference | hit@5, points | nll | hit@5, people with a context | nll, people with a context |",
        "|---|---|---|---|---|",
    ]
    for pair, one in document["differences"].items():
        a, b = pair.split("_vs_")
        if (a, b) not in NAMED and (a, b) not in OF_REFERENCE:
            continue
        parts = (
            replay_tables.points(one["hit_at_5"]),
            replay_tables.change(one["nll"]),
            replay_tables.points(one["with_context"]["hit_at_5"]),
            replay_tables.change(one["with_context"]["nll"]),
        )
        cells = [f"`{a}` - `{b}`", *(f"{part.value} {part.interval}" for part in parts)]
        told.append(f"| {' | '.join(cells)} |")
    return "\n".join(told)


def main() -> None:
    """Write one file per chart that the replay has; print its table."""
    made = parser(__doc__)
    made.add_argument("document", type=Path, nargs="?")
    made.add_argument("prefix", type=Path, nargs="?", default=Path("replay"))
    made.add_argument("--only", default="", help="names of charts, comma-separated")
    made.add_argument("--workspace", type=Path, help="of a quick run: images go into it")
    given = parse(made, "document")
    if not given.quick:
        tell(given, *written(given.document, given.prefix, given.only))
        return
    with workspace(given, replayed=True) as root:
        tell(given, *written(next(root.glob("replay/*/replay.json")), root / "replay", given.only))


def written(path: Path, prefix: Path, only: str) -> tuple[dict[str, Any], Callable[[], str]]:
    """What was written, and the tables in words."""
    document = json.loads(path.read_text(encoding="utf-8"))
    images = []
    for name, drawn in charts(document).items():
        if drawn and (not only or name in only.split(",")):
            image = prefix.with_name(f"{prefix.name}-{name}.svg")
            image.write_text(standing(str(drawn)), encoding="utf-8")
            images.append(str(image))
    texts = [document["recommendation"]["text"], table(document), differences(document)]
    return {"images": images, "tables": texts}, lambda: "\n\n".join([*texts, "\n".join(images)])


if __name__ == "__main__":
    main()
