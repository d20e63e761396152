"""What people see: consoles on which text of others does nothing, and progress.

Progress goes to stderr: a bar with the time left for work over a second; plain lines without a terminal.
"""

from __future__ import annotations

from time import monotonic
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from freshet.core.escaping import visible
from freshet.core.ports import Progress as Callback

SHOWN_AFTER = 1.0
"""Seconds of work that go by unseen."""
LINE_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""


class Plain(Console):
    """A console that takes text as it is: no markup, no emoji codes, no highlights, nothing that acts on it.

    Titles, names and ids of others are among what is printed; see `freshet.core.escaping`.
    """

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **look: Any) -> Text:
        """Every string that is printed, also in tables, comes by here."""
        return super().render_str(visible(text), **look)


def styled(text: str, style: str) -> Text:
    """Text of others in a style, for a cell of a table."""
    return Text(visible(text, lines=False), style=style)


class Screen:
    """A reporter for `freshet.storage`; use it as a context manager, so that bars vanish at the end."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Plain(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self._shown: set[TaskID] = set()

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._shown:
            self._bars.stop()

    def say(self, text: str) -> None:
        """A line, above the bars."""
        self.console.print(text, soft_wrap=True)

    def progress(self, name: str) -> Callback:
        """Show work once it takes over a second."""
        name = visible(name, lines=False)
        return _Bar(self, name) if self.console.is_terminal else _Lines(self, name)

    def draw(self, name: str, task: TaskID | None, done: int, total: int) -> TaskID | None:
        """Draw or move a bar; it goes away when the work is done."""
        if task is None:
            if done >= total:
                return None
            self._bars.start()
            task = self._bars.add_task(name, total=total)
            self._shown.add(task)
        self._bars.update(task, completed=done, total=total)
        if done >= total and task in self._shown:
            self._bars.remove_task(task)
            self._shown.discard(task)
            if not self._shown:
                self._bars.stop()
        return task


class _Bar:
    def __init__(self, screen: Screen, name: str) -> None:
        self.screen = screen
        self.name = name
        self.start = monotonic()
        self.task: TaskID | None = None

    def __call__(self, done: int, total: int) -> None:
        if self.task is not None or monotonic() - self.start >= SHOWN_AFTER:
            self.task = self.screen.draw(self.name, self.task, done, total)


class _Lines:
    def __init__(self, screen: Screen, name: str) -> None:
        self.screen = screen
        self.name = name
        self.last = monotonic()
        self.first: tuple[float, int] | None = None

    def __call__(self, done: int, total: int) -> None:
        now = monotonic()
        # what came before the first report, such as loading libraries, says nothing of the pace after it
        start, before = self.first = self.first or (now, done)
        if done >= total or now - self.last < LINE_EVERY:
            return
        self.last = now
        left = (
            f", about {(now - start) / (done - before) * (total - done):.0f} s left" if done > before else ""
        )
        self.screen.say(f"{self.name}: {done:,} of {total:,}{left}")
