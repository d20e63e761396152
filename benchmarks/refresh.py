"""What a refresh costs: nothing where nothing changed, a tenth where a tenth did; and how much does change.

    python benchmarks/refresh.py --json
    python benchmarks/refresh.py --interests 200 --refreshes 20 --mode label

The log is SIMULATED (`freshet.simulator`, tastes that drift a little every day); the planner is the `scratch`
model, which writes labels unless `--mode description` is given. Every ordered pair of interests is a row. The
planner is tuned once and a first table is made; then, from copies of that workspace:

- `noop_seconds`: a new day arrives on which nobody likes anything, and so was the day that leaves the window
  of evidence: no prompt changes. `freshet refresh` makes a new table all the same: planner rows are copied,
  weights are fitted and count and fused scores computed anew, the table is verified and published. Median of
  whole processes; `noop_rows` are the prompts they inferred. `noop_same_seconds`: nothing arrived at all.
  Where other work runs beside, `noop_processor_seconds` (user and system, all threads) tell more.
- `cost_share`: on the new day people come to a tenth of the interests and go on to one that was not named
  there, more than twice as many as to the strongest successor so far; they were there weeks before, since
  what new users do alone is held back. FLOPs of that refresh over those of the same table made without an
  earlier one, held-out prompts of the planner's weight included in both. `cost_seconds_share` is the same of
  the seconds of inference, `cost_process_share` that of whole processes without the models that the second
  one trains; `cost_process_seconds` holds these too.
- `changed_share_mean`: the world goes on, with a refresh every `--every` days: share of the table's rows
  whose prompt changed. `without_hysteresis`: the same prompts with `[evidence] hysteresis = 0`.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from freshet import operations, pipeline
from freshet.core.config import Config
from freshet.core.errors import GateFailed
from freshet.core.prompts import Prompts, ShortWording, names
from freshet.core.time_scales import Pace, resolve
from freshet.core.time_scales import measure as measure_pace
from freshet.core.types import AsOf, Evidence
from freshet.pipeline import snapshot_of
from freshet.run_context import RunContext
from freshet.simulator import World, generate
from freshet.stages.counts.fitter import fitter_for
from freshet.stages.evidence.step import gather
from freshet.stages.table import enumerate_contexts
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace
from shared import Show, parse, parser, tell

BEFORE = 110
"""Days of the world that the first table knows."""


def main() -> None:
    options = arguments()
    show = Show()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), options, show)
    tell(options, result, lambda: readable(result))


def measure(root: Path, options: argparse.Namespace, show: Show) -> dict[str, Any]:
    """Everything, in one pass."""
    world = World(
        items=max(4000, 20 * options.interests),
        users=options.users,
        days=BEFORE + options.refreshes * options.every + 1,
        change_day=BEFORE,
        seed=options.seed,
    )
    made = generate(world, root / "world")
    show.say(f"{made.note}: {made.events:,} events of {made.users:,} users on {made.items:,} items")
    now = AsOf(world.start).plus(BEFORE)
    log = Log(pq.read_table(made.events_path))
    forgotten = now.minus(resolve(pace(log.until(now)), Config()).evidence_days)
    past = log.until(now, quiet=forgotten)
    tuned, fads = first_workspace(root / "tuned", made.items_path, past, now, options, show)
    base = copied(tuned, root / "base")
    first = refresh(base)
    show.say(f"first table: {inference(first)['rows']:,} rows, {first['seconds']:.1f} s of process")
    return {
        "simulated": True,
        "interests": options.interests,
        "contexts": inference(first)["rows"],
        "events": len(past),
        "planner": f"{options.planner}, {options.mode} mode",
        "first_table_seconds": first["seconds"],
        **unchanged(root, base, log.on(now, quiet=True), options.repeats, show),
        **a_tenth(root, tuned, base, day_of_fads(fads, now, show), show),
        **drifting(root, base, log.since(now), now, options, show),
    }


class Log:
    """The simulated events by day."""

    def __init__(self, events: pa.Table) -> None:
        self.events = events
        self.day = pc.cast(events["timestamp"], pa.date32())

    def until(self, end: AsOf, quiet: AsOf | None = None) -> pa.Table:
        """Events before a day; on one of the days nobody likes anything."""
        value = self.events["value"]
        if quiet is not None:
            low = pc.min_element_wise(value, 6)
            value = pc.if_else(pc.equal(self.day, _day(quiet)), low, value)
        column = self.events.schema.get_field_index("value")
        return self.events.set_column(column, "value", value).filter(pc.less(self.day, _day(end)))

    def on(self, day: AsOf, quiet: bool) -> pa.Table:
        """Events of one day."""
        events = self.until(day.plus(1), day if quiet else None)
        return events.filter(pc.equal(pc.cast(events["timestamp"], pa.date32()), _day(day)))

    def since(self, start: AsOf) -> pa.Table:
        """Events of that day and later."""
        return self.events.filter(pc.greater_equal(self.day, _day(start)))


def pace(events: pa.Table) -> Pace:
    """How fast the log is, as a workspace measures it."""
    days, rows = np.unique(events["timestamp"].to_numpy().astype("datetime64[D]"), return_counts=True)
    return measure_pace(list(zip(days.tolist(), rows.tolist(), strict=True)))


def without_trainings(ran: dict[str, Any]) -> float:
    """Seconds of a process without trainings: the full table's workspace has no sequence model yet."""
    steps = ran["run"]["steps"]
    return float(ran["seconds"] - sum(s["seconds"] for s in steps if s["name"] in ("sequence", "ranker")))


def first_workspace(
    folder: Path, items: Path, past: pa.Table, now: AsOf, options: argparse.Namespace, show: Show
) -> tuple[Path, Fads]:
    """A workspace with a tuned planner and no table yet, and fads to come: who will follow them was there."""
    folder.mkdir()
    (folder / "freshet.toml").write_text(
        f'[events]\nitems = {json.dumps(str(items))}\npositive = "value >= 7"\n'
        f"[interests]\ncount = {options.interests}\n"
        f'[planner]\nkind = "{options.planner}"\nmode = "{options.mode}"\n'
        # no gate may halt a figure: a day of fads changes much at once
        "[tuning]\nmax_steps = 300\n[table]\nmax_churn = 1.0\n"
    )
    ws = open_workspace(folder, show)
    grown(ws, past)
    grown(ws, earlier_visits(fads := Fads.of(ws, now), now))
    try:
        pipeline.finetune(ws)
    except GateFailed:  # what a refresh costs does not depend on how good the planner is
        operations.approve(ws, ws.ledger.records()[-1].id, "benchmark")
    return folder, fads


def unchanged(root: Path, base: Path, quiet: pa.Table, repeats: int, show: Show) -> dict[str, Any]:
    """Refreshes for which no prompt changes: with a new day, and with nothing new."""
    new, same = [], []
    for number in range(repeats):
        folder = copied(base, root / f"noop-{number}")
        grown(open_workspace(folder), quiet)
        new.append(refresh(folder))
        same.append(refresh(folder))
        show.say(
            f"a new day: {new[-1]['seconds']:.1f} s, {inference(new[-1])['prompts']} rows inferred; "
            f"nothing new: {same[-1]['seconds']:.1f} s"
        )
        shutil.rmtree(folder)
    return {
        "noop_rows": max(inference(run)["prompts"] for run in new),
        "noop_seconds": statistics.median(run["seconds"] for run in new),
        "noop_seconds_each": [run["seconds"] for run in new],
        "noop_processor_seconds": statistics.median(run["processor"] for run in new),
        "noop_seconds_by_step": {s["name"]: s["seconds"] for s in new[-1]["run"]["steps"]},
        "noop_copied": inference(new[-1])["copied"],
        "noop_same_seconds": statistics.median(run["seconds"] for run in same),
        "noop_same_seconds_each": [run["seconds"] for run in same],
        "noop_same_processor_seconds": statistics.median(run["processor"] for run in same),
    }


def a_tenth(root: Path, tuned: Path, base: Path, fads: pa.Table, show: Show) -> dict[str, Any]:
    """A refresh after a day of fads, beside the same table from nothing."""
    runs = []
    for name, source in (("delta", base), ("full", tuned)):
        folder = copied(source, root / name)
        grown(open_workspace(folder), fads)
        runs.append(refresh(folder))
        shutil.rmtree(folder)
    delta, full = (inference(run) for run in runs)
    show.say(f"{delta['changed']:,} rows changed: {runs[0]['seconds']:.1f} of {runs[1]['seconds']:.1f} s")
    seconds = [run["seconds"] for run in runs]
    spent = [one["actual"]["seconds"] for one in (delta, full)]
    return {
        "cost_share": delta["actual"]["flops"] / full["actual"]["flops"] if full["actual"]["flops"] else None,
        "cost_seconds_share": spent[0] / spent[1] if spent[1] else None,
        "cost_process_share": without_trainings(runs[0]) / without_trainings(runs[1]),
        "cost_seconds_by_step": [{s["name"]: s["seconds"] for s in run["run"]["steps"]} for run in runs],
        "cost_changed_share": delta["changed"] / delta["rows"],
        "cost_process_seconds": seconds,
        "cost_delta": {key: delta[key] for key in ("prompts", "expected", "actual")},
        "cost_full": {key: full[key] for key in ("prompts", "expected", "actual")},
    }


@dataclass(frozen=True)
class Fads:
    """For a tenth of the interests one that people will go on to though its prompts don't name it.

    Attributes:
        last, following: item ids, one of each interest.
        people: how many go from the one to the other.
    """

    last: list[str]
    following: list[str]
    people: list[int]

    @classmethod
    def of(cls, ws: Workspace, day: AsOf) -> Fads:
        """By what was counted before a day."""
        with ws.run("look") as run:
            known = snapshot_of(ws, run, day)
        size = len(known.interests)
        days = known.scales.evidence_days
        seen = known.transitions.supports(day, days, 1, ws.config.evidence.user_cap)
        support = np.zeros((size, size))
        support[seen.contexts[:, 0], seen.successor] = seen.weight
        assigned = ws.store.find("assignments", ws.store.versions("assignments")[-1])
        assert assigned is not None
        table = pq.read_table(assigned.path / "assignment.parquet")
        item_of = dict(zip(table["interest"].to_pylist(), table["item"].to_pylist(), strict=True))
        rows = []
        for last in range(0, size, 10):
            order = np.argsort(-support[last], kind="stable")
            following = int(next(s for s in order[2 * ws.config.evidence.top :] if s != last))
            rows.append((item_of[last], item_of[following], int(np.ceil(2 * support[last].max())) + 5))
        return cls(*map(list, zip(*rows, strict=True)))

    def names(self) -> Iterator[tuple[str, str, str]]:
        """Each person, and the items that they go from and to."""
        for number, (last, following, people) in enumerate(
            zip(self.last, self.following, self.people, strict=True)
        ):
            for person in range(people):
                yield f"fad-{number}-{person}", last, following


def earlier_visits(fads: Fads, day: AsOf) -> pa.Table:
    """Two days, long before, on which those who will follow the fads engaged what they go from.

    What people do who have just come is held back where nobody else does it: these are no such people.
    """
    moments = [day.minus(before).moment for before in (60, 40)]
    return _engagements((name, last, moment) for name, last, _ in fads.names() for moment in moments)


def day_of_fads(fads: Fads, day: AsOf, show: Show) -> pa.Table:
    """A day on which they come to a tenth of the interests and go on to one not named there."""
    hours = timedelta(hours=10), timedelta(hours=11)
    made = _engagements(
        (name, item, day.moment + hour)
        for name, *items in fads.names()
        for item, hour in zip(items, hours, strict=True)
    )
    show.say(f"a day of fads: {len(made):,} events after {len(fads.last)} interests")
    return made


def _engagements(rows: Iterable[tuple[str, str, datetime]]) -> pa.Table:
    users, items, moments = map(list, zip(*rows, strict=True))
    return pa.table({"user_id": users, "item_id": items, "timestamp": moments, "value": [9.0] * len(users)})


def drifting(
    root: Path, base: Path, future: pa.Table, now: AsOf, options: argparse.Namespace, show: Show
) -> dict[str, Any]:
    """Consecutive refreshes as the world goes on, and what they would have changed without hysteresis."""
    ws = open_workspace(copied(base, root / "drift"), show)
    grown(ws, future)
    moments = [now.minus(-options.every * n) for n in range(options.refreshes + 1)]
    loose = changed_without_hysteresis(ws, moments)
    held, free, spent = [], [], []
    for moment in moments[1:]:
        details = inference({"run": asdict(pipeline.refresh(ws, moment, publish=True))})
        held.append(details["changed"] / details["rows"])
        free.append(next(loose))
        spent.append(details["actual"]["flops"])
        show.say(f"{moment}: {held[-1]:.1%} of the prompts changed, {free[-1]:.1%} without hysteresis")
    return {
        "refreshes": options.refreshes,
        "every_days": options.every,
        **spread("changed_share", held),
        "refresh_flops": spent,
        "without_hysteresis": spread("changed_share", free),
    }


def changed_without_hysteresis(ws: Workspace, moments: list[AsOf]) -> Iterator[float]:
    """Share of prompts that differ from those of the moment before, if evidence had no hysteresis."""
    loose = ws.config.evidence.model_copy(update={"hysteresis": 0.0})
    free = replace(ws, config=ws.config.model_copy(update={"evidence": loose}))
    said: Evidence | None = None
    before: list[bytes] | None = None
    for moment in moments:
        with ws.run("look") as run:
            known = snapshot_of(ws, run, moment)
        counting = fitter_for(ws.config, known)
        contexts = enumerate_contexts(len(known.interests), counting.k)[1:]
        said = gather(RunContext(free, run, known, counting), moment, contexts, said)
        words = names(known.interests.descriptions, ws.config.planner.mode)
        prompts = Prompts.of(contexts, ShortWording(words), said).identities()
        if before is not None:
            yield float(np.mean([a != b for a, b in zip(before, prompts, strict=True)]))
        before = prompts


def spread(name: str, shares: list[float]) -> dict[str, Any]:
    return {
        f"{name}_mean": float(np.mean(shares)),
        f"{name}_min": min(shares),
        f"{name}_max": max(shares),
        f"{name}s": shares,
    }


def grown(ws: Workspace, events: pa.Table) -> None:
    """Import more events."""
    file = ws.root / "more.parquet"
    pq.write_table(events, file)
    operations.import_log(ws, datetime.now(UTC), [file])


def copied(workspace: Path, into: Path) -> Path:
    return Path(shutil.copytree(workspace, into))


def refresh(workspace: Path) -> dict[str, Any]:
    """`freshet refresh` as a process: what it says, and the seconds it took from start to end."""
    command = [sys.executable, "-m", "freshet", "refresh", "--json", "-w", str(workspace)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed: {done.stdout}{done.stderr}")
    return {**json.loads(done.stdout), "seconds": seconds, "processor": processor}


def inference(ran: dict[str, Any]) -> dict[str, Any]:
    """What the planner was asked in a run."""
    found = [step["details"] for step in ran["run"]["steps"] if step["name"] == "inference"]
    return dict(found[-1])


def readable(result: dict[str, Any]) -> str:
    loose = result["without_hysteresis"]
    process, full = result["cost_process_seconds"]
    return "\n".join(
        [
            f"SIMULATED log, {result['events']:,} events; {result['interests']} interests, "
            f"{result['contexts']:,} rows; {result['planner']}",
            f"first table            {result['first_table_seconds']:.1f} s of process",
            f"nothing changed        {result['noop_rows']} rows inferred, {result['noop_seconds']:.1f} s "
            f"({result['noop_same_seconds']:.1f} s where nothing arrived at all)",
            f"{result['cost_changed_share']:.1%} of prompts changed: "
            f"{result['cost_share'] or 0:.1%} of the FLOPs, {process:.1f} of {full:.1f} s",
            f"{result['refreshes']} refreshes           {result['changed_share_mean']:.1%} of prompts change "
            f"({result['changed_share_min']:.1%} to {result['changed_share_max']:.1%}); without hysteresis "
            f"{loose['changed_share_mean']:.1%}",
        ]
    )


def _day(moment: AsOf) -> pa.Scalar:
    return pa.scalar(moment.day, pa.date32())


def arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--interests", type=int, default=200)
    made.add_argument("--refreshes", type=int, default=20, help="of the drifting world")
    made.add_argument("--every", type=int, default=3, help="days between two of them")
    made.add_argument("--mode", choices=["label", "description"], default="label")
    made.add_argument("--planner", choices=["scratch", "fake"], default="scratch")
    made.add_argument("--users", type=int, default=12_000)
    made.add_argument("--repeats", type=int, default=3, help="refreshes timed where nothing changes")
    made.add_argument("--seed", type=int, default=0)
    return parse(made, interests=12, refreshes=1, planner="fake", users=200, repeats=1)


if __name__ == "__main__":
    main()
