"""What a webhook is told: a message for each change of what serves, queued before it is sent.

Every run notes what serves when it begins and when it ends, under the lease; nothing changes it without that.
So what a run published that was killed before its message is noted by the next one, before it changes
anything. A message keeps its id and its body until it is taken: at least once, and the same each time.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import numpy as np

from freshet.core.errors import ArtifactError, FreshetError
from freshet.core.ports import Announcer
from freshet.exports.state import Message, State
from freshet.stages import interests
from freshet.stages.table import Table
from freshet.storage.artifacts import newest
from freshet.storage.ledger import Run
from freshet.storage.manifests import GatesManifest
from freshet.storage.release_parts import parts_of
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace

MOST = 100
"""Messages kept for a webhook that takes none; the oldest go, and the run says so."""

KEPT = 10
"""Refused messages kept, for people."""

_BLOCK = 100_000


def note(ws: Workspace, run: Run, state: State) -> State:
    """Queue a message if what serves is another release than the one noted last."""
    number = ws.releases.pointer()
    if not state.watched:
        return replace(state, watched=True, noted=number)
    if number is None or number == state.noted:
        return state
    message = Message(f"msg_{uuid4().hex}", number, _body(ws, number, state.noted))
    pending = (*state.pending, message)
    if len(pending) > MOST:
        run.say(f"webhook: {len(pending) - MOST} of {len(pending)} messages are dropped, the oldest")
    return replace(state, noted=number, pending=pending[-MOST:])


def send_pending(run: Run, state: State, announcer: Announcer) -> State:
    """Send what is queued, in order, until a message is not taken but may be later."""
    sent: list[str] = []
    with run.step("webhook") as step:
        while state.pending:
            message, *rest = state.pending
            try:
                announcer.send(message.id, message.body.encode())
            except FreshetError as error:
                message = replace(message, failed=error.message, tries=message.tries + 1)
                run.say(f"webhook: release {message.release} was not told: {error}")
                if error.retryable:
                    state = replace(state, pending=(message, *rest))
                    break
                state = replace(state, pending=tuple(rest), refused=(*state.refused, message)[-KEPT:])
                continue
            sent.append(message.id)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            state = replace(state, pending=tuple(rest), told=message.release, told_at=now)
        step.details = {
            "target": announcer.name,
            "sent": sent,
            "pending": [one.id for one in state.pending],
            "refused": [one.id for one in state.refused],
        }
    return state


def _body(ws: Workspace, number: int, before: int | None) -> str:
    release = ws.releases.get(number)
    backs = ws.decisions.rollbacks()
    rolled_back = bool(backs) and (backs[-1][1].release, backs[-1][1].before) == (number, before)
    document = {
        "schema": 1,
        "event": "release.rolled_back" if rolled_back else "release.published",
        "workspace": ws.root.resolve().name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "release": release.as_dict(),
        "before": before,
        "reason": backs[-1][0].reason if rolled_back else "",
        **_rows(ws, release, before),
        "gates": _gates(ws, release.model),
    }
    return json.dumps(document, ensure_ascii=False)


def _gates(ws: Workspace, model: str) -> list[dict[str, Any]]:
    """Those that judged a model last; none of plain counts."""
    found = newest(ws.store, "gates", lambda one: GatesManifest.of(one).model == model) if model else None
    judged = GatesManifest.of(found).report["gates"] if found is not None else {}
    return [
        {"name": name, "passed": gate["passed"], "value": gate["value"]}
        for name, gate in sorted(judged.items())
    ]


def _rows(ws: Workspace, release: Release, before: int | None) -> dict[str, int | None]:
    """Rows of the table, and how many rank otherwise than before; null where that can't be compared."""
    try:
        new = _table(ws, release)
    except ArtifactError:  # it serves all the same, as far as it was opened before
        return {"rows": None, "rows_changed": None}
    try:
        earlier = ws.releases.get(before) if before is not None else None
        same = earlier is not None and earlier.interests == release.interests
        old = _table(ws, earlier) if earlier is not None and same else None
    except ArtifactError:
        old = None
    return {"rows": len(new), "rows_changed": None if old is None else _changed(old, new)}


def _table(ws: Workspace, release: Release) -> Table:
    parts = parts_of(ws.store, release)
    return Table(parts.table.path, len(interests.load(parts.interests.path)))


def _changed(old: Table, new: Table) -> int | None:
    if old.k != new.k or old.successors.shape[1] != new.successors.shape[1]:
        return None
    changed = 0
    for start in range(0, len(new), _BLOCK):
        end = start + _BLOCK
        place = old.row_numbers(np.asarray(new.contexts[start:end]))
        differs = (old.successors[np.maximum(place, 0)] != new.successors[start:end]).any(axis=1)
        changed += int((differs | (place < 0)).sum())
    return changed
