"""One look at all service levels, and what follows from it: who is told of what."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from freshet.alerting.catalogue import TEST, UNREADABLE, alert, raised
from freshet.alerting.told import State, Trouble, alone, read_state, write_state
from freshet.core.errors import FreshetError
from freshet.core.masking import masked
from freshet.core.ports import AlertReceiver
from freshet.core.types.alerts import Alert, Notice
from freshet.inspect.level_listing import Live, ServiceLevels, service_levels
from freshet.storage.workspace import Workspace

PATIENCE = 60.0
"""Seconds that one receiver may take at a look."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a receiver was told at a look: how many alerts, or why it took none ('' = it took them)."""

    receiver: str
    alerts: int
    failed: str


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look has found.

    Attributes:
        levels: None where they can't be told.
        firing: alerts, critical ones first.
        deliveries: to receivers that were to be told something.
        troubles: receivers that took nothing lately, by name.
    """

    levels: ServiceLevels | None
    firing: tuple[Alert, ...]
    deliveries: tuple[Delivery, ...]
    troubles: dict[str, Trouble]


def look(
    ws: Workspace,
    now: datetime,
    receivers: Sequence[AlertReceiver],
    live: Live | None = None,
    *,
    measure: bool = True,
    send: bool = True,
) -> Looked:
    """Look at all levels, and tell the receivers what is new, still fires, or has ended.

    It raises nothing that a receiver, a damaged file or a full disk can cause: what can't be told now is told
    at a later look.

    Args:
        live: of what serving remembers; None = nothing is said of it, and alerts on it stay as they are.
        measure: work out drift and loss where that was not done for this log, which takes seconds.
        send: tell the receivers; else only look.
    """
    now = now.astimezone(UTC)
    levels, firing = _firing(ws, now, live, measure=measure)
    state = read_state(ws.root)
    if live is None:  # who doesn't see a level doesn't end its alert
        seen = {one.name for one in firing}
        firing += tuple(
            known.alert
            for known in state.alerts.values()
            if known.alert.level in ("live_age", "live_state")
            and known.alert.ended is None
            and known.alert.name not in seen
        )
    deliveries: tuple[Delivery, ...] = ()
    if send and receivers:
        try:
            state, deliveries = _tell(ws, state, firing, receivers, now)
        except OSError as error:  # a full disk: nothing can be remembered, so nobody is told again and again
            deliveries = (Delivery("alerts", 0, f"what was told can't be remembered: {error.strerror}"),)
    known = state.note(firing, now).alerts
    return Looked(
        levels,
        tuple(known[one.name].alert for one in firing if one.name in known),
        deliveries,
        state.troubles,
    )


def try_receivers(ws: Workspace, receivers: Sequence[AlertReceiver], now: datetime) -> tuple[Delivery, ...]:
    """Send every receiver an alert that says it is a test."""
    text = f"a test from {name_of(ws)}: if you read this, alerts arrive"
    test = alert(TEST, name_of(ws), text, now.astimezone(UTC))
    return tuple(_sent(receiver, [Notice(test, 0)]) for receiver in receivers)


def name_of(ws: Workspace) -> str:
    """What alerts call a workspace."""
    return ws.root.resolve().name if ws.bucket is None else ws.bucket.url.rstrip("/").rpartition("/")[2]


def _firing(
    ws: Workspace, now: datetime, live: Live | None, *, measure: bool
) -> tuple[ServiceLevels | None, tuple[Alert, ...]]:
    try:
        levels = service_levels(ws, now, live, measure)
    except FreshetError as error:
        unreadable = alert(UNREADABLE, name_of(ws), f"service levels can't be told: {error.message}", now)
        before = [known.alert for known in read_state(ws.root).alerts.values() if known.alert.ended is None]
        return None, (unreadable, *(one for one in before if one.name != unreadable.name))
    return levels, raised(levels.levels, name_of(ws), now)


def _tell(
    ws: Workspace, state: State, firing: Sequence[Alert], receivers: Sequence[AlertReceiver], now: datetime
) -> tuple[State, tuple[Delivery, ...]]:
    with alone(ws.root) as mine:
        if not mine:
            return state, ()
        before = read_state(ws.root)
        state = before.without_others([one.name for one in receivers]).note(firing, now)
        if state != before:
            write_state(ws.root, state)
        found = []
        repeat = timedelta(hours=ws.config.alerts.repeat_hours)
        for receiver in receivers:
            notices = state.due(receiver.name, receiver.every_look, repeat, now)
            if not notices:
                continue
            begun = state.telling(receiver.name, notices)
            if begun != state:
                write_state(ws.root, begun)
                state = begun
            delivery = _sent(receiver, notices)
            found.append(delivery)
            if delivery.failed:
                state = state.failed(receiver.name, delivery.failed, now)
            else:
                state = state.took(receiver.name, notices, now)
            write_state(ws.root, state)
        return state, tuple(found)


def _sent(receiver: AlertReceiver, notices: Sequence[Notice]) -> Delivery:
    """Tell a receiver. In a thread of its own: one that answers a byte now and then may never end."""
    whys: list[str] = []

    def tell() -> None:
        try:
            receiver.tell(notices)
        except FreshetError as error:
            whys.append(masked(error.message))
        else:
            whys.append("")

    sending = threading.Thread(target=tell, name="alerts", daemon=True)
    sending.start()
    sending.join(PATIENCE)
    why = whys[0] if whys else f"it has not taken them within {PATIENCE:g} seconds"
    return Delivery(receiver.name, len(notices), why)
