"""A run on a workspace in a bucket: it holds the lease, and writes back as it goes on.

Who takes the lease puts its token into the index (fencing): a push by anybody else's token is refused,
however late it comes. A run pushes after every artifact, wherever it moves a pointer, and when it ends.
Killed in between, it leaves the state of its last push, and the next run continues from there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from freshet.core.errors import FreshetError
from freshet.core.ports import ObjectStore
from freshet.storage.ledger import Reporter
from freshet.storage.remote.bucket_files import BucketFiles
from freshet.storage.remote.bucket_lease import BucketLease, bucket_lease, read_lease
from freshet.storage.remote.checkout import Checkout

SAVED = ("work", "answers")
"""Folders whose files are written back while a step goes on: work that was paid for."""
SAVE_SECONDS = 20.0


class BucketWorkspace(BucketFiles):
    """The state of a workspace in a bucket and of its folder here; `BucketFiles` tells the arguments."""

    def __init__(
        self, url: str, store: ObjectStore, checkout: Checkout, reporter: Reporter | None = None
    ) -> None:
        super().__init__(url, store, checkout, reporter)
        self._cut_off = False

    def is_held(self) -> bool:
        """Whether the lease seems to be held, somewhere: it names an owner who did not give it back."""
        return read_lease(self.store) is not None

    @contextmanager
    def held(self, command: str, wait: float) -> Iterator[BucketLease]:
        """A block that alone may write: the lease is held, the folder here is equal to the index.

        When it ends, well or not, what changed is written back.

        Raises:
            Busy: another run is writing, and did not end within `wait` seconds.
            LeaseLost: another run took over meanwhile.
        """
        with bucket_lease(self.store, command, wait, self.reporter.say) as lease:
            self._cut_off = False
            self.pull(lease.owner.token)
            ended = threading.Event()
            saving = threading.Thread(target=self._save, args=(ended,), name="bucket-save", daemon=True)
            saving.start()
            try:
                yield lease
            except BaseException:
                _end(ended, saving)
                with suppress(FreshetError):  # the run's own error is what matters
                    self.push(*(("runs",) if self._cut_off else ()))
                raise
            else:
                _end(ended, saving)
                self.push()
            finally:
                self._writer = None

    def publish(self) -> None:
        """Write back what was changed under the fence of a run, such as `CURRENT`.

        Raises:
            FreshetError: it can't be; the run will write back no more than its record, since what stands in
                the folder here is more than the bucket has.
        """
        try:
            self.push()
        except FreshetError:
            self._cut_off = True
            raise

    @contextmanager
    def changed(self, path: str) -> Iterator[None]:
        """A block that changes one file, for which no run waits: keys, settings.

        Nobody looks at the index from this folder meanwhile, a server that follows it least of all: the file
        would be set back before it is written.

        Raises:
            Busy: somebody changed the same file meanwhile; it is as they left it.
        """
        with self._alone():
            self._pulled()
            there = self.base.files.get(path)
            if there is not None and not self.checkout.has(path, there):
                self._bring({path: there})
            yield
            try:
                self.push(path.split("/")[0], small=True)
            except FreshetError:
                with suppress(FreshetError, KeyError):
                    self._bring({path: self._read().files[path]})
                raise

    def _save(self, ended: threading.Event) -> None:
        """Write back, every now and then, work that was paid for."""
        while not ended.wait(SAVE_SECONDS):
            if self.rewriting:
                continue  # all of it goes at once, when what it replaces was noted
            with suppress(FreshetError):  # the run finds out what is wrong
                self.push(*SAVED)


def _end(ended: threading.Event, thread: threading.Thread) -> None:
    ended.set()
    thread.join()
