"""What people see of runs and of what goes into a workspace: the content of the `--json` documents, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from freshet.cli.json_documents import catalogue_counts
from freshet.cli.screen import styled
from freshet.core.escaping import visible
from freshet.stages.tuning import Gate, gates_of

if TYPE_CHECKING:
    from freshet.doctor import Result
    from freshet.experiments.measurement.collect import Collected
    from freshet.experiments.measurement.import_impressions import ImpressionsReport
    from freshet.inspect import Drives
    from freshet.operations import Imported
    from freshet.storage.ledger import Record
    from freshet.storage.releases import Release


def impressions(console: Console, reports: Sequence[ImpressionsReport]) -> None:
    """What an import of another system's impressions did."""
    for one in reports:
        refused = sum(one.quarantined.values())
        line(
            console,
            f"{one.source}: {one.rows:,} rows, {one.added:,} new, {one.duplicates:,} known, "
            f"{refused:,} in quarantine; {one.outcomes:,} outcomes are new to the log",
        )


def ended(console: Console, record: Record, drives: Drives | None) -> None:
    """The end of a run: its steps and what the table found."""
    steps(console, record)
    if drives is not None:
        weights(console, drives)
    line(
        console,
        f"run {record.id} {record.outcome}: {_published(record)}; {record.seconds:.0f} s, "
        f"{record.money:.4f} {record.currency}",
    )


def _published(record: Record) -> str:
    """Whom what a run made serves."""
    if record.release is not None:
        return f"release {record.release} serves"
    tried = next((step.details for step in record.steps if step.name == "canary" and step.details), None)
    if tried is None:
        return "nothing was published"
    return f"release {tried['release']} serves {tried['share']:.1%} of the users first"


def run(console: Console, record: Record, outcome: str) -> None:
    """One run in detail."""
    line(console, f"run {record.id}: {record.command}, {outcome}, started {record.started}")
    if record.as_of:
        window = f", events of {record.window[0]} to {record.window[1]}" if record.window else ""
        line(console, f"as of {record.as_of}{window}")
    if record.message:
        console.print(record.message, soft_wrap=True)
    if record.reviewer:
        line(console, f"{record.outcome} by {record.reviewer}")
    steps(console, record)
    for step in record.steps:
        if step.name == "gates" and step.details:
            gates(console, gates_of(step.details))
            _failures(console, step.details)
    line(console, f"{record.seconds:.1f} s, {record.money:.4f} {record.currency}")
    line(console, ", ".join(f"{name} {version}" for name, version in record.libraries.items()))


def steps(console: Console, record: Record) -> None:
    """The steps of a run and their cost."""
    drawn = table("step", ">seconds", ">tokens", ">rows changed", ">peak MB", "artifact")
    for step in record.steps:
        changed = step.details.get("changed")
        drawn.add_row(
            step.name,
            f"{step.seconds:.1f}",
            f"{step.tokens:,}" if step.tokens else "",
            "" if changed is None else f"{changed:,} of {step.details['rows']:,}",
            f"{step.peak_mb:,.0f}",
            f"{step.artifact}{' (there already)' if step.cached else ''}",
        )
    console.print(drawn)
    for step in record.steps:
        if step.details.get("stopped") == "clock":  # that of an experiment says who stopped it
            line(console, f"{step.name}: the clock ended a training: {step.details.get('trainings', '')}")
        if "expected" in step.details:
            _forecast(console, step.details, record.currency)


def _forecast(console: Console, details: dict[str, Any], currency: str) -> None:
    """The cost of inference as planned, beside what it was."""
    drawn = table("inference", ">prompts", ">tokens", ">TFLOPs", ">seconds", f">{currency}")
    for name in ("expected", "actual"):
        if name in details:
            cost = details[name]
            timed = (
                ("", "") if cost["seconds"] is None else (f"{cost['seconds']:.1f}", f"{cost['money']:.4f}")
            )
            drawn.add_row(
                name, f"{details['prompts']:,}", f"{cost['tokens']:,}", f"{cost['flops'] / 1e12:.3f}", *timed
            )
    console.print(drawn)


def gates(console: Console, found: Sequence[Gate]) -> None:
    """What each gate measured, needs and found."""
    drawn = table("gate", ">measured", ">needed", "")
    for gate in found:
        drawn.add_row(gate.name, gate.measured, gate.needed, gate.verdict)
    console.print(drawn)


def _failures(console: Console, report: dict[str, object]) -> None:
    failures = report.get("failures")
    if not isinstance(failures, list) or not failures:
        return
    line(console, "examples of what failed:")
    for failure in failures:
        line(console, f"  [{failure['gate']}] {failure['prompt']}")
        wrote = failure.get("wrote", failure.get("predicted"))
        happened = f"; what happened: {failure['happened']}" if "happened" in failure else ""
        line(console, f"    answered: {wrote}{happened}")


def weights(console: Console, drives: Drives) -> None:
    """What drives the log."""
    drawn = table("what drives this log", ">weight", "95 % interval", "")
    for drive in drives.features:
        drawn.add_row(
            drive.name,
            f"{drive.weight:.2f}",
            f"{drive.low:.2f} to {drive.high:.2f}",
            styled(drive.meaning, "dim"),
        )
    if drives.features:
        console.print(drawn)
    line(console, drives.verdict)
    if drives.content:
        line(console, drives.content)
    if drives.prior:
        line(console, drives.prior)


def collected(console: Console, found: Collected) -> None:
    """What serving recorded and what it showed, since the last time."""
    refused = f", {found.quarantined:,} quarantined" if found.quarantined else ""
    console.print(
        f"{found.events:,} events collected: {found.added:,} new to the log, "
        f"{found.duplicates:,} known{refused}; {found.impressions:,} impressions written"
    )


def imported(console: Console, found: Imported) -> None:
    """What an import did, file by file."""
    drawn = table("source", ">rows", ">added", ">duplicates", ">replaced", "quarantined")
    for report in found.events:
        drawn.add_row(
            str(report.source),
            f"{report.rows_read:,}",
            f"{report.added:,}",
            f"{report.duplicates:,}",
            f"{report.replaced:,}",
            _refused(report.quarantined),
        )
    console.print(drawn)
    items = catalogue_counts(found)
    if items is not None:
        line(
            console,
            f"catalogue: {items['rows']:,} rows, {items['items']:,} items, {items['duplicates']:,} duplicates"
            f", quarantined: {_refused(items['quarantined'])}",
        )


def _refused(quarantined: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in quarantined.items()) or "none"


def cost_of_two(console: Console, first: Record, second: Record) -> None:
    """A first run and a later refresh side by side."""
    drawn = table("", "as of", ">seconds", ">tokens", ">rows inferred", ">cost")
    for name, record in (("first release", first), ("refresh", second)):
        inferred = [step.details["changed"] for step in record.steps if step.name == "inference"]
        drawn.add_row(
            name,
            record.as_of,
            f"{record.seconds:.1f}",
            f"{sum(step.tokens for step in record.steps):,}",
            f"{sum(inferred):,}",
            f"{record.money:.4f} {record.currency}",
        )
    console.print(drawn)


def rolled_back(console: Console, release: Release, before: int | None) -> None:
    """Which release serves now."""
    left = f" instead of {before}" if before not in (None, release.number) else ""
    line(console, f"release {release.number} as of {release.as_of} serves{left}")


def decided(console: Console, record: Record) -> None:
    """A decision and what follows."""
    waiting = record.waiting or {}
    what = f"table {waiting['table']}" if "table" in waiting else f"model {waiting.get('model', '')}"
    line(console, f"run {record.id}: {what} is {record.outcome} by {record.reviewer}")
    if record.outcome == "approved":
        published = record.release is not None
        line(console, f"release {record.release} serves" if published else "next: freshet run")


def checked(console: Console, result: Result, repair: bool) -> None:
    """What the doctor found, what it means, and what was or would be done."""
    if result.writing:
        line(console, f"{result.writing} is writing: its unfinished work was left out")
    for finding, repaired in zip(result.findings, result.repaired, strict=True):
        size = f" ({finding.bytes / 1e6:.1f} MB)" if finding.bytes else ""
        console.print(f"{finding.what}: {finding.where}{size}", style="bold", soft_wrap=True)
        line(console, f"  {finding.means}")
        done = "repaired" if repaired else "NOT repaired" if repair else "--repair would"
        line(console, f"  {done}: {finding.repair}" if finding.repair else "  can't be repaired from here")
    if not result.findings:
        line(console, "healthy: every file is as it was written, and nothing was left behind")
    elif repair:
        line(console, f"{sum(result.repaired)} of {len(result.findings)} findings repaired")
    else:
        line(console, f"{len(result.findings)} findings; nothing was touched")


def table(*columns: str) -> Table:
    """A plain table; a column whose name starts with `>` is aligned to the right."""
    drawn = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        drawn.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
    return drawn


def line(console: Console, text: str) -> None:
    """One line, not wrapped; line breaks in it are shown as escapes."""
    console.print(visible(text, lines=False), soft_wrap=True)
