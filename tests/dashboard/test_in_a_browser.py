"""People at the dashboard: they log in, look, follow a run, roll back, approve and reject, in a real browser."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from freshet.http.api_keys import make_key, save_keys
from freshet.storage.workspace import Workspace
from tests.dashboard.browser import PHONE, WIDE, Browser, browsing
from tests.http.running import PATIENCE, Running, running

pytestmark = pytest.mark.slow

PAGES = (
    *("", "runs", "runs/00003", "runs/00004", "releases", "releases/1", "releases/compare?a=1&b=2"),
    *("reviews", "reviews/00004", "nothing"),
)
LONG_RUN = """
import sys, time
from pathlib import Path
from freshet.wiring import open_workspace
with open_workspace(Path(sys.argv[1])).run("refresh") as run, run.step("inference"):
    progress = run.progress("rows")
    for done in range(100_000):
        progress(done, 100_000)
        run.say(f"chunk {done} is done")
        time.sleep(0.5)
        if Path(sys.argv[2]).exists():
            break
"""


@contextmanager
def opened(root: Path, profile: Path) -> Iterator[tuple[Running, Browser]]:
    """A server that asks for keys, and a browser, logged in as an admin called Ada."""
    admin, text = make_key("admin", "Ada", "2026-01-05")
    save_keys(root, {admin.id: admin})
    with running(root, key=text) as server, browsing(server.url, profile) as browser:
        browser.go()
        browser.write("key", text)
        browser.press("Log in")
        browser.sees("Is it fresh?")
        yield server, browser


@pytest.fixture(scope="module")
def looked_at(stopped: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """For tests that change nothing: two releases and a halted run."""
    folder = tmp_path_factory.mktemp("looked_at")
    with opened(Path(shutil.copytree(stopped.root, folder / "halted")), folder / "profile") as (_, browser):
        yield browser


@pytest.fixture
def both(halted: Workspace, tmp_path: Path) -> Iterator[tuple[Running, Browser]]:
    """The same for a test of its own."""
    with opened(halted.root, tmp_path / "profile") as found:
        yield found


def test_somebody_on_call_finds_out_why_a_run_halted_and_approves_it(
    both: tuple[Running, Browser], halted: Workspace
) -> None:
    _, browser = both
    assert browser.driver.get_cookie("freshet") is not None
    assert browser.driver.execute_script("return document.cookie") == ""
    browser.sees("of the top 5 was replaced")  # fetched by htmx
    browser.link("00004").click()
    browser.sees("A gate halted this run")
    browser.link("Review it").click()
    browser.sees("failed, halts")
    browser.sees("Examples of what went wrong")
    browser.press("Approve")  # without a reason: the browser itself asks for it
    assert halted.ledger.get("00004").outcome == "waiting"
    browser.write("reason", "recall is good enough")
    browser.press("Approve")
    browser.sees("Run 00004 is approved.")
    assert halted.ledger.get("00004").outcome == "approved"
    assert halted.decisions.all()[-1].by.startswith("Ada (key ")
    assert browser.complaints() == []


def test_a_run_is_rejected_and_a_release_rolled_back(
    both: tuple[Running, Browser], halted: Workspace
) -> None:
    served, browser = both
    browser.go("reviews/00004")
    browser.write("by", "Grace")
    browser.write("reason", "too weak")
    browser.press("Reject")
    browser.sees("Run 00004 is rejected.")
    assert halted.ledger.get("00004").reviewer.startswith("Grace (key ")
    browser.go("releases/1")
    browser.press("Roll back to release 1")
    browser.write("reason", "people complain")
    browser.press("Serve release 1 now")
    browser.sees("Release 1 serves again instead of 2.")
    assert halted.releases.pointer() == 1
    browser.until(lambda: served.explore(user="u1")["release"] == 1)
    browser.go("reviews")
    browser.sees("people complain")


def test_runs_are_followed_as_they_happen_to_their_ends(
    both: tuple[Running, Browser], halted: Workspace
) -> None:
    _, browser = both
    stop = halted.root.parent / "stop"
    command = [sys.executable, "-c", LONG_RUN, str(halted.root), str(stop)]
    with subprocess.Popen(command) as process:
        try:
            browser.until(lambda: (halted.root / "runs" / "00005.json").exists() or None)
            browser.go("runs/00005")
            browser.sees("Right now")
            browser.sees("chunk 2 is done")
            first = browser.until(lambda: browser.find("progress").get_attribute("value"))
            browser.until(lambda: browser.find("progress").get_attribute("value") != first)
            browser.sees("chunk 5 is done")  # nobody has loaded the page again
            stop.touch()
            browser.sees("it ended well")
            assert "Right now" not in browser.text
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    with subprocess.Popen([*command[:-1], "/nowhere"]) as process:
        try:
            browser.until(lambda: (halted.root / "runs" / "00006.json").exists() or None)
            browser.go("runs/00006")
            browser.sees("chunk 1 is done")
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE)
            browser.sees("Its process was killed")
            browser.sees("chunk 1 is done")  # what it has said is still there
        finally:
            process.kill()
    assert browser.complaints() == []


def test_the_dashboard_ends_with_its_server(both: tuple[Running, Browser]) -> None:
    served, _ = both
    (pid,) = (one for one in children(served.process.pid) if "dashboard_process" in cmdline(one))
    assert served.stop() == 0
    gone(pid)


def test_the_dashboard_ends_with_a_server_that_is_killed(halted: Workspace) -> None:
    with running(halted.root) as served:
        served.client.get("/dashboard/")
        (pid,) = (one for one in children(served.process.pid) if "dashboard_process" in cmdline(one))
        served.process.kill()
        served.process.wait()
    gone(pid)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_pages_are_for_everybody(looked_at: Browser, size: tuple[int, int], dark: bool) -> None:
    browser = looked_at
    browser.show(size, dark)
    wrong = {}
    for path in PAGES:
        browser.go(path)
        browser.until(lambda: not browser.driver.find_elements("css selector", ".htmx-request") or None)
        if found := browser.violations():
            wrong[path] = found
        if (wider := browser.overflow()) > 0:
            wrong[f"{path} is too wide"] = [str(wider)]
    assert wrong == {}


def test_everything_is_reached_by_keyboard(looked_at: Browser) -> None:
    browser = looked_at
    browser.show()
    browser.go("runs")
    reached = []
    for _ in range(12):
        browser.driver.switch_to.active_element.send_keys("\ue004")
        reached.append(browser.driver.switch_to.active_element.text)
    assert reached[0] == "Skip to the content"
    assert {"Overview", "Runs", "Releases", "Reviews"} <= set(reached)


def test_somebody_logs_in_looks_and_logs_out(looked_at: Browser) -> None:
    browser = looked_at
    browser.show()
    browser.go()
    for name in ("Runs", "Releases", "Reviews", "Overview"):
        browser.link(name).click()
        browser.until(lambda name=name: browser.find("nav [aria-current=page]").text == name)
    browser.press("Log out")
    browser.sees("API key")
    browser.write("key", "fk_wrong_key")
    browser.press("Log in")
    browser.sees("That is no key of this server.")
    assert browser.complaints() == []


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def gone(pid: int) -> None:
    """Wait until a process has ended."""
    end = time.monotonic() + PATIENCE
    while alive(pid):
        assert time.monotonic() < end
        time.sleep(0.1)


def cmdline(pid: int) -> str:
    """How a process was started."""
    return Path(f"/proc/{pid}/cmdline").read_text()


def alive(pid: int) -> bool:
    """Whether a process runs, and is not just waiting to be looked after."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
