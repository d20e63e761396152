"""Forgets people: takes them out of all that a workspace keeps, searches for what is left, and signs for it.

The tombstone comes first, so that nothing of theirs comes in while the rest goes on. Every step can be done
twice: what a killed call left undone, the same call does. It changes artifacts in their places, so it holds
the lease throughout; servers go on, and open what is new when it has ended.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from freshet import __version__
from freshet.backups import safekeeping
from freshet.core.errors import FreshetError, InputError
from freshet.core.ports import UserStore
from freshet.experiments.measurement import shown_to_people
from freshet.privacy import artifact_cleaning, bucket_cleaning, leftovers, receipts
from freshet.privacy.made_with import Made, made_with
from freshet.privacy.person import MOST, Names, Person
from freshet.privacy.traces import Searched, Trace, search
from freshet.stages.events import log_forgetting, refused_rows
from freshet.stages.events.step import located
from freshet.storage import rooms
from freshet.storage import user_ids as persons
from freshet.storage.durable import read_json, write_json
from freshet.storage.ledger import Run
from freshet.storage.secrets import PRIVACY
from freshet.storage.workspace import Workspace

_RESULTS = ("replay", "cadence", "drift")
"""Folders of tables that name users by number."""
_TRIES = 10
"""Times that the user store is gone through: a server may be in the middle of a request when it begins."""


@dataclass(frozen=True)
class Forgotten:
    """What a call did, or would do.

    Attributes:
        run: of the ledger; '' of a dry run.
        people: keyed hashes.
        removed: what went, by kind.
        searched: what was found afterwards; before, of a dry run.
        left: in words, what can't be reached from here.
        made: what was learned from their data.
        receipt: where it is; None of a dry run, and where something is left.
    """

    run: str
    people: tuple[str, ...]
    removed: dict[str, int]
    searched: Searched
    left: tuple[str, ...]
    made: list[Made] = field(default_factory=list)
    receipt: Path | None = None

    @property
    def clean(self) -> bool:
        """Nothing was found, and every file could be searched."""
        return not self.searched.traces


def look(ws: Workspace, given: Sequence[str]) -> Forgotten:
    """Where people are found, without changing anything; counts are those of the search."""
    people = persons.people_of(ws.root)
    found = _distinct(given, people if people.secret else replace(people, secret=b"nobody's"))
    names = Names(found)
    if ws.bucket is not None:
        ws.bucket.fetch_all()
    columns, progress = ws.config.events.columns, ws.reporter.progress("search")
    searched = search(ws.root, names, columns, progress, _sources(ws))
    made = made_with(ws, log_forgetting.events_of(ws.source, names.stored)[0]) if searched.traces else []
    known = tuple(one.person for one in found) if people.secret else ()
    return Forgotten("", known, {}, searched, outside(ws), made)


def forget(
    ws: Workspace, given: Sequence[str], users: UserStore | None, now: datetime, *, block: bool = False
) -> Forgotten:
    """Forget people.

    Args:
        given: their ids, as they come in.
        users: what serving remembers; None where it was never served.
        now: the current time, with zone: what they did before is refused from now on.
        block: what they do later is refused as well.

    Raises:
        InputError: an id is empty, or there are more than `MOST`.
        Busy: another run, or a replay, is writing.
        ArtifactError: a file of the log, or a counted day, is damaged; the same call goes on once it is not.
        StateError: the user store can't be written; the same call goes on later.
    """
    with ws.run("forget") as run:
        if ws.bucket is not None:
            ws.bucket.fetch_all()
        people = persons.prepare(ws.root, ws.config.privacy)
        found = _distinct(given, people)
        with run.fenced():
            stones = persons.bury(ws.root, [one.person for one in found], now, block=block)
            _keep_apart(ws)
        work = _Work(ws, run, Names(found), _Progress.of(ws.root, sorted(stones)), users)
        with rooms.all_held(ws.root, "forget", ws.wait, run.say):
            with bucket_cleaning.rewriting(ws.bucket, work.note_contents):
                work.do()
            searched = work.prove()
        left = (*work.left, *outside(ws))
        made = made_with(ws, work.progress.first_day)
        receipt = None
        if not searched.traces:
            work.delete_contents()
            with run.fenced():
                persons.finish(ws.root, stones)
                _keep_apart(ws)
                receipt = _receipt(ws, run, stones, work, searched, left, made)
                _end_progress(ws.root, stones)
        done = Forgotten(run.record.id, tuple(stones), work.progress.removed, searched, left, made, receipt)
        with run.step("forget") as step:
            step.details = {"people": len(stones), "removed": done.removed, "left": len(searched.traces)}
        run.record.release = ws.releases.pointer()
    if ws.bucket is not None:
        bucket_cleaning.delete_unnamed(ws.bucket, ())  # of records of this very call
    return done


def _end_progress(root: Path, finished: Collection[str]) -> None:
    """Delete what calls for these people have noted, also calls for some of them that were killed."""
    for path in (root / PRIVACY / "begun").glob("*.json"):
        if set(read_json(path)["people"]) <= set(finished):
            path.unlink(missing_ok=True)


def _keep_apart(ws: Workspace) -> None:
    """A backup that is restored must know who was forgotten: by the newest tombstones, kept with its keys."""
    if folder := ws.config.backup.keys:
        safekeeping.keep_apart(ws.root, safekeeping.copy_in(ws.root, folder).parent)


def _distinct(given: Sequence[str], people: persons.People) -> list[Person]:
    found = {one.id: one for one in (Person.of(id, people) for id in given)}
    if not found:
        raise InputError(
            "nobody is named", hint="name somebody with --user ID, or many with --users-file FILE"
        )
    if len(found) > MOST:
        raise InputError(
            f"{len(found):,} people are named, expected {MOST:,} at most", hint="call it several times"
        )
    return list(found.values())


@dataclass
class _Progress:
    """What calls for the same people have done so far, so that a receipt tells all of it."""

    path: Path
    removed: dict[str, int]
    first_day: date | None
    began: bool
    contents: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, root: Path, people: Sequence[str]) -> _Progress:
        path = root / PRIVACY / "begun" / f"{people[0]}-{len(people)}.json"
        if path.exists():
            content = read_json(path)
            if content["people"] == list(people):
                first = date.fromisoformat(content["first_day"]) if content["first_day"] else None
                return cls(path, content["removed"], first, True, set(content.get("contents", ())))
        return cls(path, {}, None, False)

    def note(self, people: Sequence[str], **counts: int) -> None:
        for kind, count in counts.items():
            self.removed[kind] = self.removed.get(kind, 0) + count
        first = self.first_day.isoformat() if self.first_day else ""
        content = {"people": sorted(people), "removed": self.removed, "first_day": first}
        write_json(self.path, {**content, "contents": sorted(self.contents)})


def _contents(root: Path) -> set[str]:
    """Keys of contents of the bucket that calls for anybody have noted, also calls that were killed."""
    begun = (root / PRIVACY / "begun").glob("*.json")
    return {key for path in begun for key in read_json(path).get("contents", ())}


class _Work:
    """The steps, in their order."""

    def __init__(
        self, ws: Workspace, run: Run, names: Names, progress: _Progress, users: UserStore | None
    ) -> None:
        self.ws, self.run, self.names, self.progress, self.users = ws, run, names, progress, users
        self.left: tuple[str, ...] = ()
        self._columns = ws.config.events.columns

    def do(self) -> None:
        ws, names = self.ws, self.names
        if not self.progress.began:
            self.progress.first_day, rows = log_forgetting.events_of(ws.root, names.stored)
            self._note(events=rows)  # once, before any of them goes: a killed call must not lose count
        self.run.say("taking people out of the log")
        taken = log_forgetting.without_users(ws.root, names.stored, self.run.progress("days"))
        self._note(
            quarantine=refused_rows.without_rows(ws.root, refused_rows.OfPeople(names.ids, self._columns))
        )
        self._note(impressions=shown_to_people.without_people(ws.root, names.stored, names.numbers))
        self.run.say("taking people out of counts and rows of users")
        for root in (ws.root, *rooms.rooms(ws.root)):
            cleaned = artifact_cleaning.clean(root, names, taken.renamed)
            self._note(
                transitions=cleaned.transitions,
                user_rows=cleaned.user_rows,
                held_back=cleaned.held_back,
                established=cleaned.established,
            )
        for name in _RESULTS:
            gone = artifact_cleaning.clean_results(ws.root / name, names, self._columns)
            self._note(result_rows=gone)
        keys = safekeeping.keys_of(ws.root, ws.config.backup.keys)
        self._note(keys_of_backups=sum(keys.drop(one.stored) for one in names.people))
        for root in (ws.root, *rooms.rooms(ws.root)):
            self._note(texts=leftovers.clean_texts(root, names))
            self._note(remains=leftovers.clean_remains(root, names, self._columns))
        self._erase()

    def prove(self) -> Searched:
        """Search everything; what a request that was going on has put into the store, go through again."""
        for _ in range(_TRIES):
            self.run.say("searching every file for what is left")
            progress, sources = self.run.progress("search"), _sources(self.ws)
            found = search(self.ws.root, self.names, self._columns, progress, sources)
            if not any(trace.path.startswith("state/") for trace in found.traces):
                break
            self._erase()
        return found

    def note_contents(self, keys: set[str]) -> None:
        """Keep the keys of contents of the bucket that have to go, until a receipt says that they went."""
        self.progress.contents |= keys
        self._note()

    def delete_contents(self) -> None:
        """Delete what calls for anybody have noted; a bucket has nothing of the people then."""
        if self.ws.bucket is not None:
            noted = _contents(self.ws.root)
            self._note(contents=bucket_cleaning.delete_unnamed(self.ws.bucket, noted))

    def _erase(self) -> None:
        if self.users is None:
            return
        self.run.say("taking people out of what serving remembers")
        done = self.users.erase(self.names.keys, self.names.is_mine)
        self.left = done.left
        self._note(histories=done.histories, live_events=done.events, live_impressions=done.impressions)

    def _note(self, **counts: int) -> None:
        self.progress.note([one.person for one in self.names.people], **counts)


def _receipt(
    ws: Workspace,
    run: Run,
    stones: dict[str, persons.Tombstone],
    work: _Work,
    searched: Searched,
    left: Sequence[str],
    made: Sequence[Made],
) -> Path:
    content: dict[str, Any] = {
        "freshet": __version__,
        "run": run.record.id,
        "people": {person: stone.at for person, stone in sorted(stones.items())},
        "blocked": all(stone.block for stone in stones.values()),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "removed": work.progress.removed,
        "searched": {"files": searched.files, "bytes": searched.bytes, "found": len(searched.traces)},
        "left": list(left),
        "made_with": [asdict(one) for one in made],
    }
    return receipts.keep(ws.root, receipts.sign(ws.root, content), f"{run.record.id}-forget")


def _sources(ws: Workspace) -> frozenset[Path]:
    """Source files and the catalogue, where they lie within the workspace: they are their owner's."""
    found: set[Path] = set()
    for name in filter(None, (*ws.config.events.files, ws.config.events.items)):
        place = located(ws, name)
        if isinstance(place, Path) and place.is_dir() and place != ws.root:
            found.update(place.rglob("*"))
        elif isinstance(place, Path) and place != ws.root:
            root = Path(place.absolute().anchor)
            found.update([place, *root.glob(str(place.absolute().relative_to(root)))])
    return frozenset(found)


def outside(ws: Workspace) -> tuple[str, ...]:
    """What a workspace can't reach, in words."""
    config = ws.config
    found = []
    if config.events.files:
        listed = ", ".join(config.events.files)
        found.append(f"source files are yours: {listed}; imported again, nothing of the people comes in")
    if config.events.items:
        found.append(f"the catalogue is yours, and not searched: {config.events.items}")
    if config.stream.kind:
        found.append(f"messages that {config.stream.kind} still keeps are refused, and stay there")
    if config.serving.state != "lmdb":
        found.append("the Redis server is cleaned, and not searched; nor are copies of its files elsewhere")
    if ws.bucket is not None:
        found.append(f"earlier versions of objects, if the bucket of {ws.bucket.url} keeps any")
        found.append(
            "what other machines keep of this workspace (state, replays, logs): run the command there as well"
        )
    if config.planner.kind == "openai":
        found.append("prompts sent to the server of a model, which name nobody: see its provider")
    if config.tracking.used:
        found.append("what trackers were told of runs, which is figures")
    found.append("snapshots of the file system, and blocks that a disk has set aside")
    return tuple(found)


def unfinished(root: Path) -> int:
    """People whose forgetting was begun and has not ended."""
    try:
        return sum(not stone.done for stone in persons.people_of(root).tombstones.values())
    except FreshetError:
        return 0


__all__ = ["Forgotten", "Trace", "forget", "look", "outside", "unfinished"]
