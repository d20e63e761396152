"""What a page is, and what it is told of who asks for it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from starlette.responses import Response

from freshet.core import safe_names as names
from freshet.core.errors import ConfigError
from freshet.dashboard.explorer import Explorer
from freshet.dashboard.sessions import Session
from freshet.dashboard.workspace_view import WorkspaceView
from freshet.storage.workspace import Workspace

Values = Mapping[str, object]
"""What a template names."""
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for a page.

    Attributes:
        view: the workspace that is looked at.
        session: who asks.
        now: when (UTC).
        path, query: variables of the path, and the last value of each of the query.
        form: of a POST; empty otherwise.
        partial: htmx asks for a part of the page.
    """

    view: WorkspaceView
    session: Session
    now: datetime
    path: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]
    partial: bool = False

    @property
    def ws(self) -> Workspace:
        """The workspace, opened; raises FreshetError if it can't be."""
        return self.view.workspace()

    @property
    def explorer(self) -> Explorer:
        """The release that serves, and previews of its answers."""
        return self.view.explorer

    @property
    def root(self) -> Path:
        """Its folder."""
        return self.view.root

    def text(self, name: str, default: str = "") -> str:
        """A variable of the path, the form or the query."""
        return self.path.get(name, self.form.get(name, self.query.get(name, default))).strip()

    def number(self, name: str, default: int | None = None) -> int:
        """The same as a number of at least 0.

        Raises:
            ConfigError: it is none, or missing without a default.
        """
        text = self.text(name)
        found = default if not text else names.number(text)
        if found is None:
            raise ConfigError(
                f"{name} is {names.shortened(text)}, expected a number", hint="go back and choose"
            )
        return found

    def cached(self, *key: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` returns, made once per state of the workspace (`WorkspaceView.state`)."""
        return self.view.cached(key, make)


@dataclass(frozen=True, slots=True)
class Page:
    """What is answered at a path below `/dashboard/`.

    Attributes:
        path: such as `runs/{run}`; '' is the first page.
        template: file in `templates/`.
        values: what it shows.
        nav: its name in the navigation, '' = it isn't there.
        scope: of the key that it needs, where there are keys.
    """

    path: str
    template: str
    values: Callable[[Visit], Values | Response]
    nav: str = ""
    scope: str = "read"


@dataclass(frozen=True, slots=True)
class Done:
    """What an act ends with: the page to go to (below `/dashboard/`), and what is said there."""

    to: str
    said: str


@dataclass(frozen=True, slots=True)
class Act:
    """What is done when a form is sent to a path below `/dashboard/`; `scope` of the key that it needs."""

    path: str
    run: Callable[[Visit], Done]
    scope: str = "admin"
