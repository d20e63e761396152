"""What reads a workspace, called in this process as a user would call it, and what may come of that."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import fuzz_workers

NOW = 1_707_500_000_000_000
"""Microseconds since 1970: what a recommendation goes by."""
CALLS: dict[str, tuple[str, ...]] = {
    "status": ("status", "--json"),
    "doctor": ("doctor",),
    "doctor repair": ("doctor", "--repair"),
    "history": ("history",),
    "history one": ("history", "{run}"),
    "interests": ("interests", "--json"),
    "explain": ("explain", "0", "1", "--json"),
    "explain prompt": ("explain", "0", "--prompt", "--json"),
    "diff": ("diff", "1", "3", "--json"),
    "alerts": ("alerts", "--no-measure", "--json"),
    "schedule look": ("schedule", "--dry-run", "3"),
    "schedule status": ("schedule", "--status"),
    "keys list": ("keys", "list"),
    "keys add": ("keys", "add", "--name", "more"),
    "experiment list": ("experiment", "list"),
    "experiment report": ("experiment", "report", "try", "--json"),
    "gc": ("gc", "--dry-run"),
    "forget": ("forget", "--user", "user00009"),
    "collect": ("collect",),
    "import": ("import",),
    "rollback": ("rollback", "1"),
    "approve": ("approve", "{run}", "--by", "Ada", "--reason", "as it is"),
    "export": ("export", "--to", "{beside}/given.freshet"),
    "backup": ("backup",),
    "cadence": ("cadence", "--from", "2024-02-05", "--to", "2024-02-08", "--every", "3d"),
    "report": ("report", "--into", "{beside}/report.html"),
    "refresh": ("refresh",),
}
COMPARED = ("interests", "explain", "diff", "recommend", "restore")
"""What says the same whenever it is asked: of damage behind a checksum it tells, or says the same."""
PAGES = (
    *(
        "",
        "overview/fresh",
        "overview/changed",
        "playground?like=item0003",
        "playground/items?q=a",
        "interests",
    ),
    *(
        "interests/0",
        "interests/1/over-time",
        "interests/0/popularity.svg",
        "interests/0/successors.svg",
        "contexts",
    ),
    *(
        "contexts?context=0,1",
        "runs",
        "runs/00004",
        "runs/00002",
        "runs/00010",
        "releases",
        "releases/3",
        "reviews",
    ),
    *(
        "releases/compare?a=1&b=3",
        "reviews/00007",
        "reviews/00002",
        "reports",
        "reports/drift",
        "reports/cadence",
    ),
    *("reports/experiment/try", "runs/00004/live"),
)
EVERY = (*CALLS, "recommend", "recommend", "recommend", "pages", "pages", "pages", "restore")
RARE = {
    "refresh": 0.02,
    "report": 0.1,
    "cadence": 0.1,
    "experiment report": 0.1,
    "backup": 0.3,
    "import": 0.2,
    "restore": 0.5,
}
"""Share of the times that it is chosen in which it is tried: it takes seconds."""


class Failed(Exception):
    """What must not be; its text names it, the rest is details."""

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(why)
        self.detail = detail


def read(name: str, root: Path, chosen: int) -> tuple[str, str]:
    """Call a reader.

    Args:
        root: folder of `shop`, `safe` and `safe-keys`.
        chosen: which of the pages, or of the runs.

    Returns:
        (outcome, what was said where it is compared: a digest).

    Raises:
        Failed: a traceback, a status 500, or no words.
    """
    other = OTHERS.get(name)
    if other is not None:
        return other(root, chosen)
    return _command(name, root, chosen)


def _command(name: str, root: Path, chosen: int) -> tuple[str, str]:
    from freshet.cli import app

    run = f"{chosen % 12 + 1:05d}"
    call = [part.format(run=run, beside=root / "beside") for part in CALLS[name]]
    said, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
        code = app.run(["--debug", *call, "-w", str(root / "shop")])
    everything = said.getvalue() + told.getvalue()
    if code == 1 or "Traceback" in everything:
        raise Failed(f"{name}: {last_error(everything)}", everything[-1800:])
    if code not in (0, 2, 3, 4, 5, 7):
        raise Failed(f"{name}: exit code {code}", everything[-800:])
    if code == 2:
        _check_words(name, told.getvalue())
        return "refused", ""
    return ("answered" if code == 0 else f"exit code {code}"), _digest(
        said.getvalue()
    ) if name in COMPARED else ""


def _check_words(name: str, told: str) -> None:
    """A refusal says what, and what to do."""
    lines = told[told.find("error: ") :].strip().splitlines()
    if len(lines) < 2 or len(lines[0]) < 12:
        raise Failed(f"{name}: refused without a hint", told[-800:])


def last_error(said: str) -> str:
    """Name of the error that a traceback ends with, and where it was raised."""
    lines = said.splitlines()
    named = [
        line
        for line in lines
        if line[:1].isalpha() and not line.startswith(("error", "this is", "Traceback"))
    ]
    places = [
        line.split("src/")[-1].replace('", line ', ":").split(",")[0]
        for line in lines
        if "/freshet/" in line and 'File "' in line
    ]
    name = next(
        (
            line.split(":")[0]
            for line in reversed(named)
            if "Error" in line.split(":")[0] or "xception" in line
        ),
        "bug",
    )
    return f"{name[:60]} at {places[-1] if places else '?'}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _recommend(root: Path, chosen: int) -> tuple[str, str]:
    """Open the release, ask for some users, and tell of an event."""
    from freshet import Recommender
    from freshet.core.errors import FreshetError
    from freshet.wiring import open_recommender

    found: list[object] = []
    told = False
    try:
        with Recommender(open_recommender(root / "shop", clock=lambda: NOW)) as shop:
            try:
                shop.core.reload()
            except FreshetError:  # as a service does: an arm that can't be opened is told, and others answer
                told = True
            for user in (None, "user00001", f"user{chosen % 5:05d}"):
                answer = shop.recommend(user, interests=3, items=3, explain=True, log=False)
                found.append(
                    [
                        answer.degraded,
                        [[one.id, one.description, [i.id for i in one.items]] for one in answer.interests],
                    ]
                )
            missing = list(shop.core.missing) if hasattr(shop.core, "missing") else []
            shop.record("user00001", "item0001", 9.0, id="fuzz")
    except FreshetError as error:
        if not error.message.strip() or not error.hint.strip():
            raise Failed("recommend: refused without a hint", str(error)) from error
        return "refused", ""
    return "answered", "" if told else _digest(json.dumps([found, missing]))


def _pages(root: Path, chosen: int) -> tuple[str, str]:
    """Pages of the dashboard, one chosen and the first."""
    import httpx

    from freshet.core.errors import FreshetError
    from freshet.dashboard.dashboard_app import Access, make_app
    from freshet.dashboard.sessions import Sessions
    from freshet.dashboard.workspace_view import WorkspaceView
    from freshet.http.api_keys import Keyring

    shop = root / "shop"
    try:
        keyring = Keyring(shop, off=chosen % 2 == 0)
    except FreshetError:  # the service tells, and does not start
        return "refused", ""
    app = make_app(WorkspaceView(shop), Access(keyring, Sessions(b"secret"), "admin"))

    async def asked() -> list[int]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            found = []
            for path in (PAGES[chosen % len(PAGES)], PAGES[chosen // 100 % len(PAGES)]):
                reply = await client.get(f"/dashboard/{path}", follow_redirects=True)
                if reply.status_code >= 500 and reply.status_code != 503:
                    raise Failed(f"page {path}: status {reply.status_code}", reply.text[-1200:])
                found.append(reply.status_code)
            return found

    statuses = asyncio.run(asked())
    return ("answered" if all(one < 400 for one in statuses) else "refused"), ""


def _restore(root: Path, _: int) -> tuple[str, str]:
    """Make a workspace of the backup; its files are compared with those of an undamaged one."""
    from freshet.cli import app

    into = root / "restored"
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = app.run(
            ["--debug", "restore", str(root / "safe"), str(into), "--keys", str(root / "safe-keys")]
        )
    text = said.getvalue()
    if code == 1 or "Traceback" in text:
        raise Failed(f"restore: {last_error(text)}", text[-1800:])
    if code:
        _check_words("restore", text)
        return "refused", ""
    files = sorted(path for path in into.rglob("*") if path.is_file() and "state/" not in path.as_posix())
    whole = "".join(
        f"{path.relative_to(into)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in files
    )
    shutil.rmtree(into)
    return "answered", _digest(whole)


OTHERS: dict[str, Callable[[Path, int], tuple[str, str]]] = {
    "recommend": _recommend,
    "pages": _pages,
    "restore": _restore,
}


def warm(root: Path) -> None:
    """Import and compile what readers need, so that a case costs no more than what it reads.

    Args:
        root: of a sound workspace, which is read. No page is: what draws does not outlive a fork.
    """
    import httpx  # noqa: F401

    import freshet.dashboard.dashboard_app
    import freshet.report  # noqa: F401

    fuzz_workers.quick_commands()
    for name in (
        "status",
        "doctor",
        "explain",
        "explain prompt",
        "interests",
        "diff",
        "history one",
        "alerts",
        "recommend",
    ):
        read(name, root, 3)
    gc.collect()
