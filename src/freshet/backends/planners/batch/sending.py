"""Sending files of requests to a provider, and fetching what came of them; nothing is paid twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from freshet.backends.http_json import Failing, Refusal
from freshet.backends.planners.batch.batch_index import OpenFile, State
from freshet.backends.planners.batch.batch_service import Progress, Service
from freshet.backends.planners.batch.batches import Batches, Taken
from freshet.backends.planners.endpoint.probe import failure
from freshet.core.errors import ConfigError
from freshet.storage.durable import written

_LACKING = (404, 405, 501)
"""Statuses of a server that has no such address."""

_NONE_MADE = (Failing.REFUSED, Failing.KEY, Failing.SPENT)
"""Refusals after which there is no batch for sure."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that a provider made a batch of; `adopted`: an earlier attempt, whose answer was lost, had."""

    file: OpenFile
    remote: str
    adopted: bool


def submit(batches: Batches, service: Service, layout: str, say: Callable[[str], None]) -> list[Sent]:
    """Send the files that were not sent.

    Whether an attempt whose answer was lost has made a batch is looked up before the next one.

    Raises:
        ConfigError: the server has no batch API, or refused a file.
        PlannerGone: it can't be reached, wants another key, or there is no balance left.
    """
    sent = []
    for file in _of(batches, layout, ("written", "sending"), say):
        if file.open < file.requests:
            say(f"{_where(batches, file)} has results already, so it was sent by hand: left alone")
            continue
        path = batches.index.folder(file.batch) / file.name
        with path.open("rb") as content:
            name = f"freshet-{hashlib.file_digest(content, 'sha256').hexdigest()[:24]}"
        with _told(service):
            remote = ""
            if file.state == "sending":
                known = {one.remote for one in batches.index.files() if one.remote}
                remote = service.find(name, file.requests, datetime.fromisoformat(file.tried), known)
            adopted = bool(remote)
            if not remote:
                uploaded = service.upload(path, name)
                batches.index.sending(file.batch, file.name, _now())
                try:
                    remote = service.create(uploaded, name)
                except Refusal as refusal:
                    if (
                        refusal.status and refusal.why in _NONE_MADE
                    ):  # else it may have made one, whatever came
                        batches.index.unsent(file.batch, file.name)
                    raise
        batches.index.sent(file.batch, file.name, remote)
        how = "found as" if adopted else "sent as"
        say(f"{_where(batches, file)}: {file.requests:,} requests, {how} {remote}")
        sent.append(Sent(file, remote, adopted))
    return sent


def fetch(
    batches: Batches, service: Service, layout: str, say: Callable[[str], None]
) -> tuple[Taken, list[tuple[OpenFile, Progress]]]:
    """Look at the files that were sent, and take in the results of those that ended.

    Requests without a result are asked again: those of a batch that expired or was cancelled as if they had
    never been asked, those of a file that was refused as ones that failed.

    Returns:
        What the results held, and how far each file is.

    Raises:
        ConfigError, PlannerGone: as `submit`.
    """
    taken, states = Taken(), []
    for file in _of(batches, layout, ("sent",), say):
        with _told(service):
            progress = service.look(file.remote)
            contents = [service.results(name) for name in progress.files] if progress.ended else []
        states.append((file, progress))
        say(f"{_where(batches, file)}: {file.remote} is {progress.state}, {progress.answered:,} answered")
        if not progress.ended:
            continue
        folder = batches.index.folder(file.batch)
        for number, content in enumerate(contents, 1):
            path = folder / f"{file.name.removesuffix('.jsonl')}-results-{number}.jsonl"
            with written(path) as aside:
                aside.write_bytes(content)
            taken.add(batches.take(path))
        problem = progress.problem or "the results lack it"
        state: State = "failed" if progress.refused else "unasked"
        lost = batches.index.close(file.batch, file.name, state, problem)
        if lost:
            say(f"  {lost:,} requests have no result and are asked again: {problem}")
    return taken, states


def _of(
    batches: Batches, layout: str, states: tuple[str, ...], say: Callable[[str], None]
) -> Iterator[OpenFile]:
    for file in batches.index.files():
        if file.state in states and file.layout != layout:
            say(f"{_where(batches, file)} is for {file.layout}, [planner] batch is {layout!r}: left alone")
        elif file.state in states:
            yield file


@contextmanager
def _told(service: Service) -> Iterator[None]:
    """Refusals as errors that say what to do."""
    try:
        yield
    except Refusal as refusal:
        if refusal.status in _LACKING and refusal.why == Failing.REFUSED:
            raise ConfigError(
                f"{service.client.base} takes no batches: {refusal.said}",
                hint="see to [planner] endpoint; where the server has no batch API, answer the files with "
                "another tool and name the results to `freshet batch read`, or leave [planner] batch out",
            ) from None
        raise failure(service.client, refusal) from None


def _where(batches: Batches, file: OpenFile) -> str:
    return f"{batches.index.root.name}/{batches.index.folder(file.batch).name}/{file.name}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
