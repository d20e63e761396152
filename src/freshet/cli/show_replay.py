"""What people see of a replay and of a recommended schedule, drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def replay(console: Console, found: Mapping[str, Any], page: Path) -> None:
    """The answer, then a line for every arm."""
    told = found["recommendation"]
    console.print(told["headline"], style="bold")
    reasons = told["text"].removeprefix(told["headline"]).removesuffix(" ".join(told["where"]))
    for paragraph in (reasons, *told["where"]):
        for line in textwrap.wrap(paragraph.strip(), 110):
            console.print(line)
    _show_table(console, found["log"], _arms(found))
    if "shares" in found:
        console.rule("by users learned from: nll, and hit@5 in points", align="left")
        console.print(_shares(found))
    console.print(f"report: {page}", soft_wrap=True)


def plan(console: Console, found: Mapping[str, Any]) -> None:
    """What would be replayed, and what it may cost."""
    console.print(f"{found['origins']:,} origins from {found['from']} to {found['to']}", style="bold")
    console.print(f"arms: {', '.join(found['arms'])}", soft_wrap=True)
    most = found["most"]
    if most is None:
        console.print("no model behind a server is asked: it costs time on this machine alone")
        return
    money = "" if most["money"] is None else f", {most['money']:.2f} {found['currency']}"
    console.print(
        f"at most {most['requests']:,} requests for {most['tables']:,} tables and {most['tunings']:,} "
        f"judgements: "
        f"{most['tokens']:,} tokens ({most['written']:,} written){money}"
    )
    console.print("what was answered before, or stays as it was from one table to the next, is asked no more")


def cadence(console: Console, found: Mapping[str, Any], page: Path) -> None:
    """The recommended schedule, a line for each, and what to write into `freshet.toml`."""
    console.print(found["headline"], style="bold")
    for line in textwrap.wrap(" ".join(found["text"][1:]), 110):
        console.print(line)
    _show_table(console, found["log"], _schedules(found))
    console.rule("for freshet.toml", align="left")
    console.print(found["schedule"]["toml"], end="")
    console.print(f"report: {page}", soft_wrap=True)


def _show_table(console: Console, log: Mapping[str, Any], table: Table) -> None:
    console.rule(
        f"{log['n']:,} transitions of {log['users']:,} people, {log['from']} to {log['to']}", align="left"
    )
    console.print(table)
    console.print(f"Intervals: 95 %, {log['draws']:,} resamples of users, seed {log['seed']}.")


def _schedules(found: Mapping[str, Any]) -> Table:
    unit = found["unit"]
    label = "seconds" if unit == "seconds" else found["log"].get("currency", "money")
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("schedule")
    for name in ("hit@5", "95 %", f"minus {found['freshest']}", "refreshes", "tunings", "age (days)"):
        table.add_column(name, justify="right")
    for name in (f"{label} / 30 days", "tuning"):
        table.add_column(name, justify="right")
    for line in found["schedules"]:
        ahead = line["difference"]
        table.add_row(
            f"{line['arm']} *" if line["chosen"] else line["arm"],
            f"{line['hit_at_5']['value']:.2%}",
            _span(line["hit_at_5"]["ci95"], 100),
            f"{100 * ahead['value']:+.2f} {_span(ahead['ci95'], 100, '+')}",
            str(line["refreshes"]),
            str(line["tunings"]),
            f"{line['table_age_days']:.1f}",
            f"{line['cost']['all'][unit]:.3g}",
            f"{line['cost']['tuning'][unit]:.3g}",
        )
    return table


def _arms(found: Mapping[str, Any]) -> Table:
    currency = found["log"].get("currency", "")
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("arm")
    for name in ("hit@1", "hit@5", "95 %", "nll", "hybrid ahead in hit@5", f"cost ({currency})"):
        table.add_column(name, justify="right")
    order = sorted(found["arms"], key=lambda arm: -found["arms"][arm]["hit_at_5"]["value"])
    for arm in order:
        measured = found["arms"][arm]
        ahead = found["differences"].get(f"hybrid_vs_{arm}", {}).get("hit_at_5")
        table.add_row(
            arm,
            f"{measured['hit_at_1']['value']:.2%}",
            f"{measured['hit_at_5']['value']:.2%}",
            _span(measured["hit_at_5"]["ci95"], 100),
            f"{measured['nll']['value']:.4f}",
            "" if ahead is None else f"{100 * ahead['value']:+.2f} {_span(ahead['ci95'], 100, '+')}",
            f"{measured['cost']['money']:.4f}",
        )
    return table


def _shares(found: Mapping[str, Any]) -> Table:
    """What each source of knowledge is worth by share of the users; `*`: jointly with all others."""
    told = found["recommendation"]["shares"]["sources"]
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("share", "users", *(source["difference"].replace("_vs_", " - ") for source in told)):
        table.add_column(name, justify="right")
    for percent, line in found["shares"].items():
        cells = []
        for source in told:
            ahead, sure = line["differences"][source["difference"]], source["at"][percent]["shown"]
            nll, hit = ahead["nll"]["value"], 100 * ahead["hit_at_5"]["value"]
            stars = ["*" if sure[name] else "" for name in ("nll", "hit_at_5")]
            cells.append(f"{nll:+.4f}{stars[0]} {hit:+.2f}{stars[1]}")
        table.add_row(f"{percent} %", f"{line['learned']['users']:,}", *cells)
    return table


def _span(bounds: list[float] | None, scale: float, sign: str = "") -> str:
    return "" if bounds is None else f"[{scale * bounds[0]:{sign}.2f}, {scale * bounds[1]:{sign}.2f}]"
