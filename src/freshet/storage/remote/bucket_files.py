"""The files of a workspace in a bucket, and the same files in a folder of this machine.

- **Reading** makes the folder of this machine equal to the index (`pull`): small files at once, the large
  files of artifacts when they are first opened (`fetch`).
- **Writing** sends contents that the bucket doesn't have and then swaps the index (`push`): whatever changed
  is there at once, or not at all.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from uuid import uuid4

from freshet.core.errors import Busy, ConfigError, LeaseLost, StoreUnreachable
from freshet.core.ports import ObjectStore
from freshet.storage.durable import locked
from freshet.storage.lease import is_held
from freshet.storage.ledger import Quiet, Reporter
from freshet.storage.remote.blobs import Blobs
from freshet.storage.remote.bucket_index import INDEX, Entry, Index, read_index
from freshet.storage.remote.checkout import STAYING, Checkout
from freshet.storage.remote.database_copies import DATABASE, add_rows
from freshet.storage.remote.swapping import swap

SMALL = 64 << 10
"""Bytes: files of artifacts up to here are fetched with everything else, larger ones when they are needed."""
TRIES = 20
"""Times that the index is read and swapped again when somebody else was quicker."""


class BucketFiles:
    """The files of a workspace in a bucket, and those of its folder here.

    Args:
        url: of the workspace, for messages.
        store: the bucket below that URL.
        checkout: the folder of this machine.
        reporter: who watches.
    """

    def __init__(
        self, url: str, store: ObjectStore, checkout: Checkout, reporter: Reporter | None = None
    ) -> None:
        self.url = url
        self.store = store
        self.checkout = checkout
        self.reporter = reporter or Quiet()
        self.blobs = Blobs(store, url)
        self.base = Index()
        self.rewriting = False  # whether files of artifacts that are there may change
        self.superseded: set[str] = set()  # keys of contents that such changes have replaced
        self._writer: str | None = None  # token of the lease under which this process writes
        self._lock = threading.RLock()

    def pull(self, writer: str | None = None, *, anew: bool = False) -> Index:
        """Make the folder here equal to the index; where a run goes on here, nothing but to read it.

        Args:
            writer: token of a lease of the bucket that this process holds: it is put into the index first.
            anew: read every file here, whether it seems changed or not.

        Raises:
            ConfigError: there is no workspace.
            ArtifactError: the index, or the content of a file, is missing or damaged.
        """
        with self._alone():
            return self._pulled(writer, anew=anew)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A block in which no other thread or process makes the folder here equal to the index."""
        with self._lock, locked(self.checkout.folder):
            yield

    def _pulled(self, writer: str | None = None, *, anew: bool = False) -> Index:
        self.base = self._read() if writer is None else self._fenced(writer)
        self._writer = writer or self._writer
        if anew:
            self.checkout.forget_all_but(())
        else:
            self.checkout.load()
        if writer is not None or not is_held(self.checkout.root / "LEASE"):
            self._match()
            self.checkout.save(self.base.artifacts)
        else:
            self._add()
        return self.base

    def fetch(self, kind: str, version: str) -> None:
        """Have all files of an artifact here; nothing where the bucket doesn't have the artifact."""
        self._have(self.base.artifacts.get(f"{kind}/{version}", {}))

    def fetch_all(self) -> None:
        """Have every file here."""
        self._have(self.base.files)

    def _have(self, files: Mapping[str, Entry]) -> None:
        with self._lock:
            self._bring({path: entry for path, entry in files.items() if not self.checkout.has(path, entry)})

    def let_go(self, kind: str, version: str) -> None:
        """The next `push` takes an artifact out of the index, also those of its files that are not here."""
        with self._lock:
            for path, entry in self.base.artifacts.get(f"{kind}/{version}", {}).items():
                self.checkout.expect(path, entry)

    def push(self, *within: str, small: bool = False) -> bool:
        """Write what has changed here back; whether anything had.

        Args:
            within: names in the folder of the workspace that alone are written back; none = everything.
            small: it is done without the lease.

        Raises:
            LeaseLost: another run has taken over; nothing was written.
            Busy: somebody changed the same file meanwhile.
        """
        with self._lock:
            for _ in range(TRIES):
                if not small:  # a server in this process may have read an index that is another run's by now
                    self._need_fence(self.base)
                mine = self._changes(within)
                if not mine:
                    return False
                self._send(mine)
                if any(entry and not self.checkout.has(path, entry) for path, entry in mine.items()):
                    continue  # a file was written anew meanwhile
                before = {self.base.files[path].key for path in mine if path in self.base.files}
                if self._swapped(replace(self.base, files=_merged(self.base.files, mine))):
                    self.superseded |= before
                    for path in [path for path, entry in mine.items() if entry is None]:
                        self.checkout.forget(path)
                    self.checkout.save(self.base.artifacts)
                    return True
                self._rebase(mine, small=small)
            raise StoreUnreachable(
                f"{self.url} changes all the time: {TRIES} tries to write to it came too late",
                hint="run the command again",
                retryable=True,
            )

    def replaced(self) -> set[str]:
        """Keys of the contents that the next `push` will put others, or none, in the place of."""
        with self._lock:
            changed = self._changes(())
            return {self.base.files[path].key for path in changed if path in self.base.files}

    def create(self) -> None:
        """Write the first index, of what is in the folder here.

        Raises:
            ConfigError: there is a workspace already.
        """
        with self._alone():
            self.base = Index()
            mine = self._changes(())
            self._send(mine)
            if not self._swapped(replace(self.base, files=_merged({}, mine))):
                raise ConfigError(
                    f"there is a workspace at {self.url} already",
                    hint="use it as it is, or choose another URL",
                )
            self.checkout.save(self.base.artifacts)

    def _read(self) -> Index:
        found = read_index(self.store, self.url)
        if found is None:
            raise ConfigError(
                f"there is no workspace at {self.url}",
                hint="`freshet init` makes one, `freshet copy` brings one there; or the URL is wrong",
            )
        return found

    def _fenced(self, writer: str) -> Index:
        """The index, with our token in it."""
        for _ in range(TRIES):
            found = self._read()
            mine = replace(found, writer=writer, change=uuid4().hex)
            tag = swap(self.store, INDEX, mine.encode(), found.tag)
            if tag is not None:
                return replace(mine, tag=tag)
        raise StoreUnreachable(
            f"{self.url} changes all the time", hint="run the command again", retryable=True
        )

    def _swapped(self, mine: Index) -> bool:
        """Whether the index could be swapped for another; then that is the base."""
        mine = replace(mine, change=uuid4().hex)
        tag = swap(self.store, INDEX, mine.encode(), self.base.tag)
        if tag is None:
            return False
        self.base = replace(mine, tag=tag)
        return True

    def _rebase(self, mine: Mapping[str, Entry | None], *, small: bool) -> None:
        """Take over what somebody else, who needs no lease, changed meanwhile.

        Raises:
            LeaseLost: it was a run.
            Busy: it was a file that was changed here, too.
        """
        theirs = self._read()
        if not small:
            self._need_fence(theirs)
        before = self.base.files
        changed = [p for p in {*before, *theirs.files} if before.get(p) != theirs.files.get(p)]
        # of what runs alone write, something else can only be a push of this very run whose answer was lost
        both = [
            path
            for path in changed
            if path in mine and mine[path] != theirs.files.get(path) and (small or "/" not in path)
        ]
        if both:
            raise Busy(
                f"{both[0]} was changed in {self.url} at the same time",
                hint="run the command again",
                retryable=True,
            )
        untouched = [p for p in changed if p not in mine and self._is_as(p, before.get(p))]
        self._bring({path: theirs.files[path] for path in untouched if path in theirs.files})
        for path in untouched:
            if path not in theirs.files:
                self.checkout.remove(path)
        self.base = theirs

    def _need_fence(self, index: Index) -> None:
        """Refuse to write over what a run left that took over.

        Raises:
            LeaseLost: one did.
        """
        if index.writer != (self.base.writer if self._writer is None else self._writer):
            raise LeaseLost(
                f"another run has taken over {self.url}; this one publishes nothing",
                hint="run the command again: it continues where it was",
                retryable=True,
            )

    def _is_as(self, path: str, entry: Entry | None) -> bool:
        """Whether the file of a path is as in an index, None = there is none."""
        if entry is None:
            return not (self.checkout.root / path).exists()
        return self.checkout.has(path, entry)

    def _changes(self, within: tuple[str, ...]) -> dict[str, Entry | None]:
        """What differs here from the index, None = is deleted; files that were not fetched don't."""
        here, base = self.checkout.contents(*within), self.base
        found: dict[str, Entry | None] = {
            path: entry
            for path, entry in here.items()
            if base.files.get(path) != entry and (self.rewriting or not base.is_fixed(path))
        }
        for path in base.files:
            asked = not within or path.split("/")[0] in within
            if asked and path not in here and self.checkout.was_here(path):
                found[path] = None
        return found

    def _send(self, changes: Mapping[str, Entry | None]) -> None:
        there = set(self.base.files.values())
        wanted = {
            entry: self.checkout.source(path)
            for path, entry in changes.items()
            if entry is not None and entry not in there
        }
        size = sum(entry.size for entry in wanted)
        if size > 50 << 20:
            self.reporter.say(f"writing {size / 1e6:,.0f} MB to {self.url}")
        self.blobs.send([(path, entry) for entry, path in wanted.items()])

    def _match(self) -> None:
        """Make the folder equal to the index, what is current last."""
        files, here = self.base.files, self.checkout.contents()
        self.checkout.forget_all_but(here)
        wanted = {path: entry for path, entry in files.items() if here.get(path) != entry}
        for path in [path for path, entry in wanted.items() if self._is_large(path, entry)]:
            del wanted[path]
            self.checkout.remove(path)
        last = {path: wanted.pop(path) for path in [*wanted] if path == "CURRENT"}
        self._bring(wanted)
        self._bring(last)
        for path in here:
            if path not in files and not self.checkout.sealed(path, files) and not path.endswith(DATABASE):
                self.checkout.remove(path)

    def _add(self) -> None:
        """Fetch what is not here at all, while a run goes on here that has its own state of the rest."""
        files, root = self.base.files, self.checkout.root
        self._bring(
            {
                path: entry
                for path, entry in files.items()
                if path.split("/")[0] not in STAYING
                and not self._is_large(path, entry)
                and not (root / path).exists()
            }
        )

    def _is_large(self, path: str, entry: Entry) -> bool:
        """Whether a file is fetched when it is needed."""
        return entry.size > SMALL and self.base.artifact_of(path) in self.base.artifacts

    def _bring(self, wanted: Mapping[str, Entry]) -> None:
        """Fetch files; a database that was written to here gets the rows of the other one, too."""
        if not wanted:
            return
        size = sum(entry.size for entry in wanted.values())
        if size > 20 << 20:
            self.reporter.say(f"fetching {len(wanted):,} files, {size / 1e6:,.0f} MB, from {self.url}")
        joined = [p for p in wanted if p.endswith(DATABASE) and (self.checkout.root / p).exists()]
        into = {path: self.checkout.root / path for path in wanted} | {
            path: self.checkout.folder / "other" / path for path in joined
        }
        progress = self.reporter.progress("files") if size > 20 << 20 else Quiet().progress("")
        self.blobs.fetch([(entry, into[path]) for path, entry in wanted.items()], progress)
        for path, entry in wanted.items():
            if path in joined:
                add_rows(self.checkout.root / path, into[path])
                into[path].unlink()
            else:
                self.checkout.note(path, entry)


def _merged(files: Mapping[str, Entry], changes: Mapping[str, Entry | None]) -> dict[str, Entry]:
    after = {**files, **{path: entry for path, entry in changes.items() if entry is not None}}
    return {path: entry for path, entry in after.items() if changes.get(path, entry) is not None}
