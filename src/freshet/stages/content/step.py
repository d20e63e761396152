"""Step: vectors of items and interests as of a moment, and what they tell about users.

Texts are known beforehand; who engages with what is learned from the log, twice: from what came before the
held-out windows, on which the weights of content are fitted, and from everything before as_of.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.core.types import REMEMBERED, AsOf, Centroids, ContentView, Transitions, item_key
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import content, events, interests
from freshet.stages.content.format import EARLY, FULL, Which, read_ids
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.build_once import build_once
from freshet.storage.ledger import StepRecord
from freshet.storage.manifests import (
    AssignmentManifest,
    ContentManifest,
    FromAssignment,
    FromCatalogue,
    TextsManifest,
    TransitionsManifest,
)
from freshet.storage.workspace import Workspace, version_of

CODE, TEXTS_CODE = 3, 1


def make(ctx: RunContext) -> Artifact | None:
    """Vectors as of a moment; None where the configuration goes without content."""
    if not ctx.config.content.use:
        return None
    ws, log = ctx.ws, ctx.log
    counted, assigned = _counted(ctx)
    texts = _texts(ctx)
    start = ctx.fitter.holdout.start

    def build(folder: Path, step: StepRecord) -> ContentManifest:
        assignment = interests.load_assignment(assigned.path)
        order = np.argsort([item_key(item) for item in assignment.items], kind="stable")
        ids = [assignment.items[number] for number in order]
        titles, text = _rows_of(texts, ids)
        learned = content.read_engagements(_days(ws, log), _rule(ws), ids)
        interest, size = assignment.interest[order], len(log.interests)
        engaged, centroids = dict[Which, NDArray[np.float32]](), dict[Which, Centroids]()
        moments: dict[Which, AsOf] = {EARLY: start, FULL: log.as_of}
        for which, before in moments.items():
            some = learned.before(before.microseconds)
            kept = log.kept(some.user, some.time) if log.kept else None
            engaged[which] = content.engaged_vectors(some, len(ids), interests.co_engagement, kept)
            met = np.isin(np.arange(len(ids)), some.item)  # what nobody has met yet names no interest
            centroids[which] = Centroids(
                content.mean_by_interest(text, np.where(met, interest, -1), size),
                content.mean_by_interest(engaged[which], interest, size),
            )
        content.write(ids, titles, interest, text, engaged, centroids, folder)
        step.details = {
            "items": len(ids),
            "with_text": int((text != 0).any(axis=1).sum()),
            "engaged": int((engaged[FULL] != 0).any(axis=1).sum()),
        }
        return ContentManifest(
            as_of=str(log.as_of),
            learned_before={which: str(moment) for which, moment in moments.items()},
            inputs=FromAssignment(events=counted.events, assignment=counted.assignment),
            texts=texts.version,
            summary=step.details,
        )

    return build_once(ws, ctx.run, "content", "content", _version(ctx), build)


def find(ctx: RunContext) -> Artifact | None:
    """What `make` would give, where it was made before; None else."""
    return ctx.ws.store.find("content", _version(ctx)) if ctx.config.content.use else None


def view(ws: Workspace, log: LogSnapshot, made: Artifact, which: Which, rows: Transitions) -> ContentView:
    """What vectors tell about the users of some transitions, each by what came strictly before it.

    Args:
        log: holds everything before the last of them.
        rows: profiles can be asked for of their users.
    """
    vectors = content.read_vectors(made.path, which)
    ids, _ = read_ids(made.path)
    engaged = content.read_engagements(_days(ws, log), _rule(ws), ids, rows.user)

    def profiles(some: Transitions) -> NDArray[np.float32]:
        return vectors.profiles(engaged.last(some.user, some.time, REMEMBERED))

    return ContentView(vectors.centroids, profiles)


def held_out_view(ctx: RunContext, made: Artifact | None) -> ContentView | None:
    """Early vectors, for the users of the held-out windows; None without content."""
    windows = ctx.fitter.holdout.windows
    if made is None or not windows:
        return None
    return view(ctx.ws, ctx.log, made, EARLY, Transitions.concatenate([window.held for window in windows]))


def centroids(made: Artifact | None) -> Centroids | None:
    """Those that serve, None without content."""
    return None if made is None else content.read_vectors(made.path, FULL).centroids


def _counted(ctx: RunContext) -> tuple[FromAssignment, Artifact]:
    """What the log's transitions were counted from, and the assignment of items among it."""
    store = ctx.ws.store
    inputs = TransitionsManifest.of(committed(store, "transitions", ctx.log.version)).inputs
    return inputs, committed(store, "assignments", inputs.assignment)


def _version(ctx: RunContext) -> str:
    log, (counted, _) = ctx.log, _counted(ctx)
    return version_of(
        code=CODE,
        as_of=log.as_of,
        events=counted.events,
        assignment=counted.assignment,
        texts=_version_of_texts(ctx),
        early=ctx.fitter.holdout.start,
        positive=ctx.ws.config.events.positive,
        **({"kept": log.version} if log.kept else {}),
    )


def _catalogue(ctx: RunContext) -> FromCatalogue:
    """The catalogue whose texts are read, and what turns them into vectors."""
    _, assigned = _counted(ctx)
    encoder = ctx.ws.encoder
    known_by = {"encoder": encoder.version} if encoder else {"interests": ctx.log.interests_version}
    return FromCatalogue(items=AssignmentManifest.of(assigned).inputs.items, **known_by)


def _version_of_texts(ctx: RunContext) -> str:
    return version_of(code=TEXTS_CODE, **asdict(_catalogue(ctx)))


def _texts(ctx: RunContext) -> Artifact:
    """Vectors of the texts of a catalogue: read again only where it changed."""
    ws, inputs, encoder = ctx.ws, _catalogue(ctx), ctx.ws.encoder
    made = committed(ws.store, "items", inputs.items)
    formed = committed(ws.store, "interests", ctx.log.interests_version)

    def build(folder: Path, step: StepRecord) -> TextsManifest:
        table = pq.read_table(made.path / events.ITEMS_FILE, columns=["item", "title", "text"])
        titles, texts = (
            [text or "" for text in table.column(name).to_pylist()] for name in ("title", "text")
        )
        if encoder is not None:
            vectors = encoder.encode(interests.readable(titles, texts), ctx.run.progress("texts")).astype(
                np.float16
            )
        else:
            vectors = interests.text_vectors(formed.path, titles, texts).astype(np.float16)
        np.save(folder / "text.npy", vectors, allow_pickle=False)
        pq.write_table(table.select(["item", "title"]), folder / "items.parquet", compression="zstd")
        step.details = {"items": len(vectors), "width": vectors.shape[1]}
        return TextsManifest(inputs=inputs, summary=step.details)

    return build_once(ws, ctx.run, "texts", "texts", _version_of_texts(ctx), build)


def _rows_of(texts: Artifact, ids: list[str]) -> tuple[list[str], NDArray[np.float32]]:
    """Title and text vector of each item; '' and zero where the catalogue has none."""
    vectors = np.load(texts.path / "text.npy", mmap_mode="r", allow_pickle=False)
    table = pq.read_table(texts.path / "items.parquet")
    place = {item: number for number, item in enumerate(table.column("item").to_pylist())}
    known = table.column("title").to_pylist()
    rows = np.array([place.get(item, -1) for item in ids], np.int64)
    found = np.zeros((len(ids), vectors.shape[1]), np.float32)
    found[rows >= 0] = vectors[rows[rows >= 0]]
    return ["" if row < 0 else known[row] or "" for row in rows.tolist()], found


def _days(ws: Workspace, log: LogSnapshot) -> list[Path]:
    return [day.path for day in events.EventLog(ws.source).snapshot(log.as_of).days]


def _rule(ws: Workspace) -> str:
    return events.parse(ws.config.events.positive).sql
