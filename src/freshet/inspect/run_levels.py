"""Service levels of runs: failures, reviews that wait, what holds publications back, damage, exports."""

from __future__ import annotations

from collections.abc import Iterator

from freshet.core.config import Config
from freshet.inspect.level_facts import Facts, Run
from freshet.inspect.service_level import ServiceLevel, State, length, objective_of

FAILED = ("failed", "interrupted")
"""Outcomes that somebody should look at."""
SPENT = 0.9
"""Share of the budget from which it warns."""


def last_run_level(facts: Facts) -> ServiceLevel:
    """Failures of the latest attempts: those in a row."""
    if not facts.attempts:
        return ServiceLevel("last_run", "unknown", None, 0, "failures in a row", "nothing has run yet")
    last = facts.attempts[0]
    failures = 0
    for run in facts.attempts:
        if run.outcome not in FAILED:
            break
        failures += 1
    if failures:
        times = "" if failures == 1 else f", as did the {failures - 1} before it"
        why = _first_line(last.message) or "it was killed before it could say why"
        told = f"{_named(last)} {last.outcome}{times}: {why}"
        return ServiceLevel("last_run", "breach", failures, 0, "failures in a row", told, last.id)
    if last.outcome == "waiting":
        told = f"{_named(last)} was halted by a gate: {_first_line(last.message)}"
        return ServiceLevel("last_run", "warn", 0, 0, "failures in a row", told, last.id)
    ended = f"{_named(last)} ended {last.ended:%Y-%m-%d %H:%M} UTC: {last.outcome}"
    return ServiceLevel("last_run", "ok", 0, 0, "failures in a row", ended)


def _named(run: Run) -> str:
    return f"run {run.id} (freshet {run.command.split()[0]})"


def _first_line(message: str) -> str:
    return message.strip().partition("\n")[0]


def review_level(facts: Facts, config: Config) -> ServiceLevel:
    """How long a halted run has waited for a person."""
    objective = objective_of(config.alerts.review_days)
    if not facts.waiting:
        return ServiceLevel("review", "ok", 0, objective, "days", "no run waits for a person")
    oldest = min(facts.waiting, key=lambda run: run.ended)
    age = facts.days_since(oldest.ended)
    many = "1 run waits" if len(facts.waiting) == 1 else f"{len(facts.waiting)} runs wait"
    told = (
        f"{many} for a person, run {oldest.id} for {length(age, 'days')}: {_first_line(oldest.message)}; "
        f"`freshet history {oldest.id}`, then `freshet approve` or `reject {oldest.id}`"
    )
    late = objective is not None and age > objective
    return ServiceLevel("review", "breach" if late else "warn", age, objective, "days", told, oldest.id)


def held_levels(facts: Facts) -> Iterator[ServiceLevel]:
    """Whether a guardrail holds publications back; none where it doesn't."""
    if facts.held:
        why = f"nothing is published until a person says so, since a rollback: {facts.held}"
        yield ServiceLevel("rolled_back", "breach", 1, 0, "rollbacks", why)


def schedule_level(facts: Facts) -> ServiceLevel:
    """Whether what should run by itself does."""
    view = facts.schedule
    if view is None:
        return ServiceLevel("schedule", "unknown", None, 0, "jobs overdue", "what is due can't be told")
    late = [one for one in view.jobs if one.overdue]
    if late:
        told = "; ".join(f"the {one.job} path: {one.why}" for one in late)
        who = f"{view.leader} is alive and has not begun" if view.leader else "no scheduler is alive"
        return ServiceLevel("schedule", "breach", len(late), 0, "jobs overdue", f"overdue: {told}; {who}")
    if view.paused is not None:
        return ServiceLevel("schedule", "warn", 0, 0, "jobs overdue", f"nothing runs: {view.paused}")
    retries = [one for one in view.jobs if one.state == "retry"]
    if retries:
        return ServiceLevel("schedule", "warn", 0, 0, "jobs overdue", retries[0].why)
    held = next((one for one in view.jobs if one.state in ("budget", "blackout")), None)
    if held is not None and held.next_at is not None:
        told = f"the {held.job} path waits until {held.next_at:%Y-%m-%d %H:%M} UTC: {held.why}"
        return ServiceLevel("schedule", "ok", 0, 0, "jobs overdue", told)
    coming = [one.next_at for one in view.jobs if one.next_at is not None]
    told = f"the next run is due {min(coming):%Y-%m-%d %H:%M} UTC" if coming else "nothing is due"
    return ServiceLevel("schedule", "ok", 0, 0, "jobs overdue", told)


def scheduler_level(facts: Facts) -> ServiceLevel:
    """Who leads; nothing is promised, since cron or an orchestrator may start runs instead."""
    leader = facts.schedule.leader if facts.schedule is not None else None
    told = f"{leader} leads" if leader is not None else "no scheduler is alive"
    return ServiceLevel("scheduler", "off", float(leader is not None), None, "alive", told)


def waiting_level(facts: Facts) -> ServiceLevel:
    """How many runs wait; `review` says how long."""
    count = len(facts.waiting)
    return ServiceLevel(
        "runs_waiting",
        "off",
        count,
        None,
        "runs",
        f"{count} {'waits' if count == 1 else 'wait'} for a person",
    )


def budget_levels(facts: Facts) -> Iterator[ServiceLevel]:
    """The month's money, where there is a budget."""
    if facts.schedule is None or not facts.schedule.money.limit:
        return
    money = facts.schedule.money
    told = f"{money.spent:.2f} of {money.limit:.2f} {money.currency} are spent this month"
    held = [one for one in facts.schedule.jobs if one.state == "budget"]
    state: State = "ok"
    if held:
        state, told = "breach", f"the {held[0].job} path waits: {held[0].why}"
    elif money.spent > SPENT * money.limit:
        state = "warn"
    yield ServiceLevel("budget", state, money.spent, money.limit, money.currency, told)


def damage_level(facts: Facts) -> ServiceLevel:
    """What is missing or damaged, as far as it is known."""
    if facts.missing:
        told = (
            f"missing or damaged: {', '.join(facts.missing[:5])}: `freshet doctor` says what can be repaired"
        )
        return ServiceLevel("damage", "breach", len(facts.missing), 0, "parts", told)
    if facts.set_aside:
        told = f"set aside as damaged within a week: {', '.join(facts.set_aside[:5])}"
        return ServiceLevel("damage", "warn", len(facts.set_aside), 0, "parts", told)
    return ServiceLevel("damage", "ok", 0, 0, "parts", "no damage is known")


def export_levels(facts: Facts) -> Iterator[ServiceLevel]:
    """Whether what serves is where it is given to; none without such places."""
    if not facts.targets and facts.webhook is None:
        return
    late = [f"{one.target} ({one.failed})" for one in facts.targets if one.due and one.failed]
    pending = facts.webhook.pending if facts.webhook is not None else ()
    late += [f"the webhook ({one.failed})" for one in pending[:1] if one.failed]
    told = f"what serves is not everywhere: {'; '.join(late)}" if late else "all that is exported is there"
    yield ServiceLevel("exports", "breach" if late else "ok", len(late), 0, "places", told)
