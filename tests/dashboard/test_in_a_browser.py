"""People at the dashboard: they log in, look, follow a run, roll back, approve and reject, in a real browser."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
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


@pytest.fixture
def served(halted: Workspace) -> Iterator[Running]:
    """A server on a workspace with two releases and a halted run, that asks for keys."""
    admin, text = make_key("admin", "Ada", "2026-01-05")
    reader, other = make_key("read", "Rita", "2026-01-05")
    save_keys(halted.root, {admin.id: admin, reader.id: reader})
    with running(halted.root, key=text) as server:
        (halted.root.parent / "reader").write_text(other)
        yield server


@pytest.fixture
def browser(served: Running, tmp_path: Path) -> Iterator[Browser]:
    """A browser, logged in with the admin's key."""
    with browsing(served.url, tmp_path / "profile") as found:
        found.go()
        found.write("key", served.key)
        found.press("Log in")
        found.sees("Is it fresh?")
        yield found


def test_somebody_logs_in_looks_and_logs_out(browser: Browser, halted: Workspace) -> None:
    assert browser.driver.get_cookie("freshet") is not None
    assert browser.driver.execute_script("return document.cookie") == ""
    for name in ("Runs", "Releases", "Reviews", "Overview"):
        browser.link(name).click()
        assert browser.find("nav [aria-current=page]").text == name
    browser.sees("of the top 5 was replaced")  # fetched by htmx
    browser.press("Log out")
    browser.sees("API key")
    browser.write("key", "fk_wrong_key")
    browser.press("Log in")
    browser.sees("That is no key of this server.")
    browser.write("key", (halted.root.parent / "reader").read_text())
    browser.press("Log in")
    browser.sees("Rita (read)")
    browser.go("releases/1")
    browser.sees("Rolling back needs a key of scope admin")
    assert browser.complaints() == []


def test_somebody_on_call_finds_out_why_a_run_halted_and_approves_it(
    browser: Browser, halted: Workspace
) -> None:
    browser.go()
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


def test_a_halted_run_is_rejected(browser: Browser, halted: Workspace) -> None:
    browser.go("reviews/00004")
    browser.write("by", "Grace")
    browser.write("reason", "too weak")
    browser.press("Reject")
    browser.sees("Run 00004 is rejected.")
    assert halted.ledger.get("00004").reviewer.startswith("Grace (key ")


def test_a_release_is_rolled_back_and_served(browser: Browser, served: Running, halted: Workspace) -> None:
    browser.go("releases")
    browser.link("1").click()
    browser.press("Roll back to release 1")
    browser.write("reason", "people complain")
    browser.press("Serve release 1 now")
    browser.sees("Release 1 serves again instead of 2.")
    assert halted.releases.pointer() == 1
    browser.until(lambda: served.explore(user="u1")["release"] == 1)
    browser.go("reviews")
    browser.sees("people complain")


def test_a_run_is_followed_as_it_happens_to_its_end(browser: Browser, halted: Workspace) -> None:
    stop = halted.root.parent / "stop"
    command = [sys.executable, "-c", LONG_RUN, str(halted.root), str(stop)]
    with subprocess.Popen(command) as process:
        try:
            browser.until(lambda: (halted.root / "runs" / "00005.json").exists() or None)
            browser.go("runs/00005")
            browser.sees("Right now")
            browser.sees("chunk 2 is done")
            browser.find("progress")
            first = browser.find("progress").get_attribute("value")
            browser.until(lambda: browser.find("progress").get_attribute("value") != first)
            browser.sees("chunk 5 is done")  # nobody has loaded the page again
            stop.touch()
            browser.sees("it ended well")
            assert "Right now" not in browser.text
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    assert browser.complaints() == []


def test_a_run_that_is_killed_is_seen_to_be(browser: Browser, halted: Workspace) -> None:
    command = [sys.executable, "-c", LONG_RUN, str(halted.root), "/nowhere"]
    with subprocess.Popen(command) as process:
        try:
            browser.until(lambda: (halted.root / "runs" / "00005.json").exists() or None)
            browser.go("runs/00005")
            browser.sees("chunk 1 is done")
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE)
            browser.sees("Its process was killed")
            browser.sees("chunk 1 is done")  # what it has said is still there
        finally:
            process.kill()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_pages_are_for_everybody(browser: Browser, size: tuple[int, int], dark: bool) -> None:
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


def test_everything_is_reached_by_keyboard(browser: Browser) -> None:
    browser.go("runs")
    reached = []
    for _ in range(12):
        browser.driver.switch_to.active_element.send_keys("\ue004")
        reached.append(browser.driver.switch_to.active_element.text)
    assert reached[0] == "Skip to the content"
    assert {"Overview", "Runs", "Releases", "Reviews"} <= set(reached)


def test_the_dashboard_ends_with_its_server(served: Running, browser: Browser) -> None:
    pids = [one for one in children(served.process.pid) if "dashboard_process" in cmdline(one)]
    assert len(pids) == 1
    begin = time.monotonic()
    assert served.stop() == 0
    browser.until(lambda: not alive(pids[0]) or None)
    assert time.monotonic() - begin < PATIENCE


def test_the_dashboard_ends_with_a_server_that_is_killed(served: Running, browser: Browser) -> None:
    pids = [one for one in children(served.process.pid) if "dashboard_process" in cmdline(one)]
    served.process.kill()
    served.process.wait()
    browser.until(lambda: not alive(pids[0]) or None)


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def cmdline(pid: int) -> str:
    """How a process was started."""
    return Path(f"/proc/{pid}/cmdline").read_text()


def alive(pid: int) -> bool:
    """Whether a process runs, and is not just waiting to be looked after."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
