"""What a person reads: the same content as the `--json` documents, drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from freshet.cli.answers import catalogue
from freshet.cli.screen import styled
from freshet.core.escaping import visible
from freshet.doctor import Result
from freshet.experiments.measurement.collect import Collected
from freshet.inspect import Diff, Drives, Explanation, Listing, RunLine, Status
from freshet.inspect.opened import Named
from freshet.operations import Imported
from freshet.stages.tuning import Gate, gates_of
from freshet.storage.ledger import Record
from freshet.storage.releases import Release


def ran(console: Console, record: Record, drives: Drives | None) -> None:
    """The end of a run: its steps and what the table found."""
    steps(console, record)
    if drives is not None:
        weights(console, drives)
    made = f"release {record.release} serves" if record.release is not None else "nothing was published"
    _line(
        console,
        f"run {record.id} {record.outcome}: {made}; {record.seconds:.0f} s, "
        f"{record.money:.4f} {record.currency}",
    )


def run(console: Console, record: Record, outcome: str) -> None:
    """One run in detail."""
    _line(console, f"run {record.id}: {record.command}, {outcome}, started {record.started}")
    if record.as_of:
        window = f", events of {record.window[0]} to {record.window[1]}" if record.window else ""
        _line(console, f"as of {record.as_of}{window}")
    if record.message:
        console.print(record.message, soft_wrap=True)
    if record.reviewer:
        _line(console, f"{record.outcome} by {record.reviewer}")
    steps(console, record)
    for step in record.steps:
        if step.name == "gates" and step.details:
            gates(console, gates_of(step.details))
            _failures(console, step.details)
    _line(console, f"{record.seconds:.1f} s, {record.money:.4f} {record.currency}")
    _line(console, ", ".join(f"{name} {version}" for name, version in record.libraries.items()))


def steps(console: Console, record: Record) -> None:
    """The steps of a run and their cost."""
    table = _table("step", ">seconds", ">tokens", ">rows changed", ">peak MB", "artifact")
    for step in record.steps:
        changed = step.details.get("changed")
        table.add_row(
            step.name,
            f"{step.seconds:.1f}",
            f"{step.tokens:,}" if step.tokens else "",
            "" if changed is None else f"{changed:,} of {step.details['rows']:,}",
            f"{step.peak_mb:,.0f}",
            f"{step.artifact}{' (there already)' if step.cached else ''}",
        )
    console.print(table)
    for step in record.steps:
        if step.details.get("stopped"):
            _line(console, f"{step.name}: the clock ended a training: {step.details['trainings']}")
        if "expected" in step.details:
            _foretold(console, step.details, record.currency)


def _foretold(console: Console, told: dict[str, Any], currency: str) -> None:
    """What the plan foretold, beside what inference then cost."""
    table = _table("inference", ">prompts", ">tokens", ">TFLOPs", ">seconds", f">{currency}")
    for name in ("expected", "actual"):
        if name in told:
            cost = told[name]
            timed = (
                ("", "") if cost["seconds"] is None else (f"{cost['seconds']:.1f}", f"{cost['money']:.4f}")
            )
            table.add_row(
                name, f"{told['prompts']:,}", f"{cost['tokens']:,}", f"{cost['flops'] / 1e12:.3f}", *timed
            )
    console.print(table)


def gates(console: Console, found: Sequence[Gate]) -> None:
    """What each gate measured, needs and found."""
    table = _table("gate", ">measured", ">needed", "")
    for gate in found:
        table.add_row(gate.name, gate.measured, gate.needed, gate.verdict)
    console.print(table)


def _failures(console: Console, report: dict[str, object]) -> None:
    failures = report.get("failures")
    if not isinstance(failures, list) or not failures:
        return
    _line(console, "examples of what failed:")
    for failure in failures:
        _line(console, f"  [{failure['gate']}] {failure['prompt']}")
        said = failure.get("wrote", failure.get("predicted"))
        happened = f"; what happened: {failure['happened']}" if "happened" in failure else ""
        _line(console, f"    answered: {said}{happened}")


def weights(console: Console, drives: Drives) -> None:
    """What drives the log."""
    table = _table("what drives this log", ">weight", "95 % interval", "")
    for drive in drives.features:
        table.add_row(
            drive.name,
            f"{drive.weight:.2f}",
            f"{drive.low:.2f} to {drive.high:.2f}",
            styled(drive.meaning, "dim"),
        )
    if drives.features:
        console.print(table)
    _line(console, drives.verdict)


def collected(console: Console, found: Collected) -> None:
    """What serving was told and what it showed, since the last time."""
    refused = f", {found.quarantined:,} quarantined" if found.quarantined else ""
    console.print(
        f"{found.events:,} events collected: {found.added:,} new to the log, "
        f"{found.duplicates:,} known{refused}; {found.impressions:,} impressions written"
    )


def imports(console: Console, found: Imported) -> None:
    """What an import did, file by file."""
    table = _table("source", ">rows", ">added", ">duplicates", ">replaced", "quarantined")
    for report in found.events:
        table.add_row(
            str(report.source),
            f"{report.rows_read:,}",
            f"{report.added:,}",
            f"{report.duplicates:,}",
            f"{report.replaced:,}",
            _refused(report.quarantined),
        )
    console.print(table)
    told = catalogue(found)
    if told is not None:
        _line(
            console,
            f"catalogue: {told['rows']:,} rows, {told['items']:,} items, {told['duplicates']:,} duplicates, "
            f"quarantined: {_refused(told['quarantined'])}",
        )


def _refused(quarantined: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in quarantined.items()) or "none"


def interests(console: Console, listed: Listing) -> None:
    """All interests, busiest first."""
    table = _table(">id", "description", ">items", ">traffic", ">coherence", "busiest items")
    for line in listed.interests:
        table.add_row(
            str(line.id),
            line.description,
            f"{line.items:,}",
            f"{line.traffic:.1%}",
            f"{line.coherence:.2f}",
            styled("; ".join(line.samples[:3]), "dim"),
        )
    console.print(table)
    quality = listed.quality
    _line(
        console,
        f"{len(listed.interests)} interests formed as of {listed.as_of}: coherence "
        f"{quality['coherence']:.2f} ({quality['coherence_by_chance']:.2f} by chance), the busiest has "
        f"{quality['largest_over_mean']:.1f} times the mean traffic",
    )


def explanation(console: Console, found: Explanation) -> None:
    """One context: what was asked, known and answered."""
    _line(console, f"context: {_names(found.asked) or 'no recent interest'}")
    if found.fallback:
        _line(console, f"answered by the row of: {_names(found.answered) or 'users without interests'}")
    if found.prompt is not None:
        console.print("prompt:", styled(found.prompt, "cyan"), soft_wrap=True)
        if found.worded is not None and found.worded != found.prompt:
            console.print("in words:", styled(found.worded, "cyan"), soft_wrap=True)
    if found.evidence:
        after = _names(found.evidence_after) or "anything"
        table = _table(f"recently, after {after}", ">share", ">users", "in words")
        for line in found.evidence:
            table.add_row(line.description, f"{line.share:.1%}", f"{line.support:.0f}", line.word)
        console.print(table)
    else:
        _line(console, "no evidence in the prompt: too few recent transitions, or it was not shown to help")
    table = _table(">", ">id", "next interest", ">planner", ">counts", ">fused")
    for rank, one in enumerate(found.successors, start=1):
        planner = "" if one.planner is None else f"{one.planner:.1%}"
        table.add_row(
            str(rank), str(one.id), one.description, planner, f"{one.count:.1%}", f"{one.fused:.1%}"
        )
    console.print(table)
    if found.unfitted:
        _line(console, found.unfitted)
    if found.prompt is not None and not found.planner_fused:
        _line(
            console,
            "the planner's score is not part of the fused one: held-out transitions don't show that it helps",
        )
    _provenance(console, found)


def _provenance(console: Console, found: Explanation) -> None:
    p = found.provenance
    _line(
        console,
        f"release {p.release} as of {p.as_of}, events of {p.window[0]} to {p.window[1]}, table {p.table}",
    )
    if p.model:
        _line(console, f"model {p.model}, planner {p.planner}")
    if p.fingerprint:
        since = f" as of {p.inferred_as_of}" if p.inferred_as_of else ""
        _line(console, f"prompt {p.fingerprint}, answered for table {p.inferred_for}{since}")


def status(console: Console, workspace: Path, state: Status) -> None:
    """The state of a workspace."""
    log = state.log
    held = (
        f"{log.events:,} events on {log.days:,} days, {log.first} to {log.last}" if log.days else "no events"
    )
    refused = f"; {log.quarantined:,} rows in quarantine" if log.quarantined else ""
    _line(console, f"{workspace}: {held}{refused}")
    if state.release is None:
        _line(console, "no release yet")
    else:
        model = f"model {state.release.model}" if state.release.model else "plain counts"
        behind = "an unknown number of" if state.behind_days is None else state.behind_days
        _line(
            console,
            f"release {state.release.number} serves: as of {state.release.as_of} ({state.age_days} days ago, "
            f"{behind} days of events behind), {model}",
        )
    for due in state.due:
        _line(console, f"due: {due.path}, {due.why}")
    if not state.due:
        _line(console, "nothing is due")
    for trained in state.cut_short:
        _line(
            console, f"{trained}: the clock ended its training (max_seconds); max_steps is the same anywhere"
        )
    for waiting in state.waiting:
        _line(console, f"run {waiting.run} waits for review of its {waiting.kind}: {waiting.message}")
        _line(console, f"  freshet history {waiting.run}, then freshet approve or reject {waiting.run}")
    if state.running:
        _line(console, "a run is writing now")
    if state.gates:
        gates(console, state.gates)
    if state.drives is not None:
        weights(console, state.drives)


def history(console: Console, lines: Sequence[RunLine]) -> None:
    """All runs."""
    table = _table("run", "command", "as of", "outcome", ">s", ">tokens", ">cost", ">inferred", ">release")
    for line in lines:
        inferred = "" if line.changed is None else f"{line.changed:,}"
        table.add_row(
            line.id,
            line.command,
            line.as_of,
            line.outcome + (f": {line.message}" if line.message else ""),
            f"{line.seconds:.1f}",
            f"{line.tokens:,}",
            f"{line.money:.4f} {line.currency}",
            inferred + (f" of {line.rows:,}" if line.rows is not None and inferred else ""),
            "" if line.release is None else str(line.release),
        )
    console.print(table)


def diff(console: Console, found: Diff) -> None:
    """Two releases."""
    _line(console, f"release {found.a.number} of {found.a.as_of} -> {found.b.number} of {found.b.as_of}")
    _line(
        console,
        f"{found.changed:,} of {found.rows:,} rows changed, {found.churn:.1%} of the top 5 replaced; "
        f"of contexts in the log {found.observed:,} of {found.observed_rows:,}, {found.observed_churn:.1%}",
    )
    if found.only_a or found.only_b:
        _line(console, f"{found.only_a:,} contexts only before, {found.only_b:,} only after")
    if found.inferred is not None:
        _line(console, f"{found.inferred:,} rows were inferred anew")
    table = _table("changed most, after", ">replaced", ">transitions", "before", "now")
    for row in found.most:
        before = {name.id for name in row.before}
        table.add_row(
            _names(row.context) or "anything",
            f"{row.churn:.0%}",
            f"{row.transitions:,.1f}",
            "; ".join(name.description for name in row.before[:3]),
            Text("; ").join(
                styled(name.description, "" if name.id in before else "green") for name in row.after[:3]
            ),
        )
    console.print(table)
    _weights_beside(console, found)


def _weights_beside(console: Console, found: Diff) -> None:
    old = {drive.name: drive for drive in found.drives_a.features}
    new = {drive.name: drive for drive in found.drives_b.features}
    table = _table("weight of", f">release {found.a.number}", f">release {found.b.number}")
    for name in dict.fromkeys([*old, *new]):
        table.add_row(name, *(f"{side[name].weight:.2f}" if name in side else "" for side in (old, new)))
    console.print(table)


def cost_of_two(console: Console, first: Record, second: Record) -> None:
    """A first run and a later refresh side by side."""
    table = _table("", "as of", ">seconds", ">tokens", ">rows inferred", ">cost")
    for name, record in (("first release", first), ("refresh", second)):
        inferred = [step.details["changed"] for step in record.steps if step.name == "inference"]
        table.add_row(
            name,
            record.as_of,
            f"{record.seconds:.1f}",
            f"{sum(step.tokens for step in record.steps):,}",
            f"{sum(inferred):,}",
            f"{record.money:.4f} {record.currency}",
        )
    console.print(table)


def rolled_back(console: Console, release: Release, before: int | None) -> None:
    """Which release serves now."""
    left = f" instead of {before}" if before is not None else ""
    _line(console, f"release {release.number} as of {release.as_of} serves{left}")


def decided(console: Console, record: Record) -> None:
    """A decision and what follows."""
    waiting = record.waiting or {}
    what = f"table {waiting['table']}" if "table" in waiting else f"model {waiting.get('model', '')}"
    _line(console, f"run {record.id}: {what} is {record.outcome} by {record.reviewer}")
    if record.outcome == "approved":
        published = record.release is not None
        _line(console, f"release {record.release} serves" if published else "next: freshet run")


def examined(console: Console, result: Result, repair: bool) -> None:
    """What the doctor found, what it means, and what was or would be done."""
    if result.writing:
        _line(console, f"{result.writing} is writing: its unfinished work was left out")
    for finding, repaired in zip(result.findings, result.repaired, strict=True):
        size = f" ({finding.bytes / 1e6:.1f} MB)" if finding.bytes else ""
        console.print(f"{finding.what}: {finding.where}{size}", style="bold", soft_wrap=True)
        _line(console, f"  {finding.means}")
        done = "repaired" if repaired else "NOT repaired" if repair else "--repair would"
        _line(console, f"  {done}: {finding.repair}" if finding.repair else "  can't be repaired from here")
    if not result.findings:
        _line(console, "healthy: every file is as it was written, and nothing was left behind")
    elif repair:
        _line(console, f"{sum(result.repaired)} of {len(result.findings)} findings repaired")
    else:
        _line(console, f"{len(result.findings)} findings; nothing was touched")


def _names(context: Iterable[Named]) -> str:
    return " -> ".join(name.description for name in context)


def _table(*columns: str) -> Table:
    """A plain table; a column whose name starts with `>` is aligned to the right."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
    return table


def _line(console: Console, text: str) -> None:
    console.print(visible(text, lines=False), soft_wrap=True)
