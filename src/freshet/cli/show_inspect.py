"""What people see of a workspace: its interests, contexts, state, runs and releases, drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from freshet.cli.screen import styled
from freshet.cli.show import gates, line, table, weights
from freshet.cli.show_schedule import by_itself

if TYPE_CHECKING:
    from freshet.exports.delivery_lines import WebhookLine
    from freshet.inspect import Diff, Explanation, Listing, Preview, RunLine, ScheduleView, Status
    from freshet.inspect.release_view import Named


def interests(console: Console, listed: Listing) -> None:
    """All interests, busiest first."""
    drawn = table(">id", "description", ">items", ">traffic", ">coherence", "busiest items")
    for row in listed.interests:
        drawn.add_row(
            str(row.id),
            row.description,
            f"{row.items:,}",
            f"{row.traffic:.1%}",
            f"{row.coherence:.2f}",
            styled("; ".join(row.samples[:3]), "dim"),
        )
    console.print(drawn)
    quality = listed.quality
    line(
        console,
        f"{len(listed.interests)} interests formed as of {listed.as_of}: coherence "
        f"{quality['coherence']:.2f} ({quality['coherence_by_chance']:.2f} by chance), the busiest has "
        f"{quality['largest_over_mean']:.1f} times the mean traffic",
    )


def explanation(console: Console, found: Explanation) -> None:
    """One context: what was asked, known and answered."""
    line(console, f"context: {_names(found.asked) or 'no recent interest'}")
    if found.fallback:
        line(console, f"answered by the row of: {_names(found.answered) or 'users without interests'}")
    if found.prompt is not None:
        _lines(console, "prompt", found.prompt)
        if found.worded is not None and found.worded != found.prompt:
            _lines(console, "in words", found.worded)
    if found.options:
        line(console, f"chosen among {len(found.options)} interests, the best by counts and content")
    if found.evidence:
        after = _names(found.evidence_after) or "anything"
        drawn = table(f"recently, after {after}", ">share", ">users", "in words")
        for row in found.evidence:
            drawn.add_row(row.description, f"{row.share:.1%}", f"{row.support:.0f}", row.word)
        console.print(drawn)
    else:
        line(console, "no evidence in the prompt: too few recent transitions, or it was not shown to help")
    asked = [">prior"] if found.prior else []
    drawn = table(">", ">id", "next interest", *asked, ">planner", ">counts", ">fused")
    for rank, one in enumerate(found.successors, start=1):
        said = [_share(one.prior)] if found.prior else []
        drawn.add_row(
            str(rank),
            str(one.id),
            one.description,
            *said,
            _share(one.planner),
            f"{one.count:.1%}",
            f"{one.fused:.1%}",
        )
    console.print(drawn)
    if found.unfitted:
        line(console, found.unfitted)
    if found.prior:
        line(console, found.prior)
    if found.prompt is not None and not found.planner_fused:
        line(
            console,
            "the planner's score is not part of the fused one: held-out transitions don't show that it helps",
        )
    _provenance(console, found)


def preview(console: Console, asked: Preview) -> None:
    """A prompt that would be asked."""
    worded = asked.template or "the short wording"
    line(console, f"context: {_names(asked.context)}; as of {asked.as_of}, kind {asked.kind}, {worded}")
    for name, text in (("system", asked.system), ("prompt", asked.text)):
        if text:
            line(console, f"{name}:")
            _indented(console, text)
    if asked.options:
        line(console, f"to choose among, {len(asked.options)} interests:")
        for option in asked.options:
            console.print(styled(f"  {option.reads}", "cyan"), soft_wrap=True)


def _lines(console: Console, name: str, text: str) -> None:
    """A prompt behind its name; one of several lines below it."""
    if "\n" in text:
        line(console, f"{name}:")
        _indented(console, text)
    else:
        console.print(f"{name}:", styled(text, "cyan"), soft_wrap=True)


def _indented(console: Console, text: str) -> None:
    for one in text.splitlines():
        console.print(styled(f"  {one}", "cyan"), soft_wrap=True)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _provenance(console: Console, found: Explanation) -> None:
    p = found.provenance
    line(
        console,
        f"release {p.release} as of {p.as_of}, events of {p.window[0]} to {p.window[1]}, table {p.table}",
    )
    if p.model:
        line(console, f"model {p.model}, planner {p.planner}")
    if p.fingerprint:
        since = f" as of {p.inferred_as_of}" if p.inferred_as_of else ""
        line(console, f"prompt {p.fingerprint}, answered for table {p.inferred_for}{since}")


def status(console: Console, workspace: str, state: Status, view: ScheduleView) -> None:
    """The state of a workspace."""
    log = state.log
    held = (
        f"{log.events:,} events on {log.days:,} days, {log.first} to {log.last}" if log.days else "no events"
    )
    refused = f"; {log.quarantined:,} rows in quarantine" if log.quarantined else ""
    line(console, f"{workspace}: {held}{refused}")
    if state.release is None:
        line(console, "no release yet")
    else:
        model = f"model {state.release.model}" if state.release.model else "plain counts"
        behind = "an unknown number of" if state.behind_days is None else state.behind_days
        line(
            console,
            f"release {state.release.number} serves: as of {state.release.as_of} ({state.age_days} days ago, "
            f"{behind} days of events behind), {model}",
        )
    if (trial := state.canary) is not None:
        line(
            console,
            f"release {trial.release} serves {trial.share:.1%} of the users since {trial.since}, "
            f"until {trial.until} at the latest: then everybody, unless it does harm",
        )
    if state.screen is not None and state.screen.held_back:
        line(console, f"screen: {state.screen.sentence}")
    for due in state.due:
        line(console, f"due: {due.path}, {due.why}")
    if not state.due:
        line(console, "nothing is due")
    by_itself(console, view)
    for trained in state.cut_short:
        line(
            console, f"{trained}: the clock ended its training (max_seconds); max_steps is the same anywhere"
        )
    for waiting in state.waiting:
        line(console, f"run {waiting.run} waits for review of its {waiting.kind}: {waiting.message}")
        line(console, f"  freshet history {waiting.run}, then freshet approve or reject {waiting.run}")
    for target in state.exports:
        has = f"has release {target.release}" if target.release is not None else "has no release"
        why = f": {target.failed} (failed {target.tries} times)" if target.failed else ""
        line(console, f"export: {target.target} {has}{', another serves' if target.due else ''}{why}")
    if state.webhook is not None:
        _webhook(console, state.webhook)
    for one in state.streams:
        behind = (
            "unknown" if one.behind is None else f"{sum(one.behind.values()):,} messages, seen {one.seen}"
        )
        newest = f"; newest event {one.last_event}" if one.last_event else ""
        lost = f", {one.lost:,} lost" if one.lost else ""
        line(
            console,
            f"stream {one.name}: {one.read:,} read, {one.refused:,} refused{lost}; behind: {behind}{newest}",
        )
    if state.running:
        line(console, "a run is writing now")
    if state.gates:
        gates(console, state.gates)
    if state.drives is not None:
        weights(console, state.drives)


def _webhook(console: Console, hook: WebhookLine) -> None:
    told = f"was told of release {hook.told}" if hook.told is not None else "was told nothing yet"
    line(console, f"webhook: {hook.target} {told}")
    for message in hook.pending:
        why = f" (failed {message.tries} times): {message.failed}" if message.failed else ""
        line(console, f"  release {message.release} waits to be told{why}")
    for message in hook.refused:
        line(console, f"  release {message.release} was refused: {message.failed}")


def history(console: Console, lines: Sequence[RunLine], earlier: int) -> None:
    """The last runs, and how many came before them."""
    if earlier > 0:
        line(console, f"{earlier:,} earlier runs are not listed: `--last N` lists more of them")
    drawn = table("run", "command", "as of", "outcome", ">s", ">tokens", ">cost", ">inferred", ">release")
    for row in lines:
        inferred = "" if row.changed is None else f"{row.changed:,}"
        drawn.add_row(
            row.id,
            row.command,
            row.as_of,
            row.outcome + (f": {row.message}" if row.message else ""),
            f"{row.seconds:.1f}",
            f"{row.tokens:,}",
            f"{row.money:.4f} {row.currency}",
            inferred + (f" of {row.rows:,}" if row.rows is not None and inferred else ""),
            "" if row.release is None else str(row.release),
        )
    console.print(drawn)


def diff(console: Console, found: Diff) -> None:
    """Two releases."""
    line(console, f"release {found.a.number} of {found.a.as_of} -> {found.b.number} of {found.b.as_of}")
    line(
        console,
        f"{found.changed:,} of {found.rows:,} rows changed, {found.churn:.1%} of the top 5 replaced; "
        f"of contexts in the log {found.observed:,} of {found.observed_rows:,}, {found.observed_churn:.1%}",
    )
    if found.only_a or found.only_b:
        line(console, f"{found.only_a:,} contexts only before, {found.only_b:,} only after")
    if found.inferred is not None:
        line(console, f"{found.inferred:,} rows were inferred anew")
    drawn = table("changed most, after", ">replaced", ">transitions", "before", "now")
    for row in found.most:
        before = {name.id for name in row.before}
        drawn.add_row(
            _names(row.context) or "anything",
            f"{row.churn:.0%}",
            f"{row.transitions:,.1f}",
            "; ".join(name.description for name in row.before[:3]),
            Text("; ").join(
                styled(name.description, "" if name.id in before else "green") for name in row.after[:3]
            ),
        )
    console.print(drawn)
    _weights_beside(console, found)


def _weights_beside(console: Console, found: Diff) -> None:
    old = {drive.name: drive for drive in found.drives_a.features}
    new = {drive.name: drive for drive in found.drives_b.features}
    drawn = table("weight of", f">release {found.a.number}", f">release {found.b.number}")
    for name in dict.fromkeys([*old, *new]):
        drawn.add_row(name, *(f"{side[name].weight:.2f}" if name in side else "" for side in (old, new)))
    console.print(drawn)


def _names(context: Iterable[Named]) -> str:
    return " -> ".join(name.description for name in context)
