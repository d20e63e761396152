"""A small SIMULATED workspace in which everything was used once, and a backup of it."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

SETTINGS = """[events]
files = ["source/events.parquet", "source/late.csv"]
items = "source/items.parquet"
positive = "value >= 7"
[interests]
count = 6
[counts]
window_days = 7
fit_windows = 2
[evidence]
level = "instance"
[planner]
kind = "fake"
[gates]
sample = 30
exact_match = 0.0
[inference]
chunk = 8
calibration_prompts = 100
[table]
max_churn = 1.0
[sequence]
use = true
max_steps = 1
[ranker]
use = true
max_steps = 1
[feedback]
use = true
[users]
rows = 20
[serving]
explore = 0.0
[export]
to = ["exported/shop.freshet", "exported/parquet"]
[alerts]
webhook = "http://127.0.0.1:9/hook"
webhook_secret_env = ""
timeout_seconds = 1.0
[backup]
to = "../safe"
keys = "../safe-keys"
"""
LATE = """user_id,item_id,timestamp,value
,item0001,2024-02-03T10:00:00,9
new person,item0001,never,9
new person,item0001,2024-02-03T10:00:00,9
"""
MOMENTS = ("2024-02-04", "2024-02-06", "2024-02-08")
LAST = datetime(2024, 2, 9, 12, tzinfo=UTC)
"""When people do something: on the last day of the log."""
REPLAYED = ("--from", "2024-02-05", "--to", "2024-02-08", "--every", "3d")
EXPERIMENT = (
    *("experiment", "start", "--name", "try", "--control", "release:1", "--treatment", "follow"),
    *("--split", "50", "--metric", "satisfied"),
)


def made(root: Path, everything: bool) -> None:
    """Make it in a folder that is there; beside it `safe`, with the backup, and `safe-keys`.

    Args:
        everything: also what takes longest: replays and reports.
    """
    called = f"fuzz_workspace.build(pathlib.Path(sys.argv[1]), {everything})"
    code = f"import sys, pathlib\nimport fuzz_workspace; {called}"
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)], cwd=here, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"no workspace could be made: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def build(root: Path, everything: bool = True) -> None:
    """Use it, in this process."""
    from freshet.simulator import World, generate

    generate(World(themes=6, items=48, users=90, days=40, change_day=28, sessions=6), root / "source")
    (root / "source" / "late.csv").write_text(LATE)
    (root / "freshet.toml").write_text(SETTINGS)
    _call(root, "import")
    _call(root, "finetune", "--as-of", MOMENTS[0], codes=(3,))
    _call(root, "approve", "2", "--by", "Ada", "--reason", "good enough")
    _call(root, "refresh", "--as-of", MOMENTS[0], "--publish")
    _used(root)
    _call(root, "collect")
    _call(root, "keys", "add", "--scope", "write", "--name", "web")
    _call(root, "refresh", "--as-of", MOMENTS[1], "--publish")
    _call(root, "forget", "--user", "user00007")
    _halted(root)
    _call(root, *EXPERIMENT)
    _used(root)
    _call(root, "collect")
    if everything:
        _reported(root)
    _call(root, "experiment", "stop", "try", "--reason", "seen enough")
    with (root / "freshet.toml").open("a") as settings:
        settings.write("[canary]\nshare = 0.3\ndays = 20\n")
    _call(root, "refresh")  # some users get it first
    _call(root, "schedule", "--pause", "a look at it")
    _call(root, "alerts", "--send", "--measure" if everything else "--no-measure")
    _used(root)
    _call(root, "backup")


def _reported(root: Path) -> None:
    """Replays and reports."""
    _call(root, "experiment", "report", "try")
    _call(root, "replay", "--arms", "hybrid,counts", *REPLAYED)
    _call(root, "cadence", *REPLAYED)
    _call(root, "drift", "--every", "7d", "--from", "2024-01-25")
    _call(root, "report")
    shutil.rmtree(root / "replay" / "rooms")  # artifacts like those of the workspace


def _halted(root: Path) -> None:
    """A refresh that waits for a person."""
    settings = root / "freshet.toml"
    before = settings.read_text()
    settings.write_text(before.replace("max_churn = 1.0", "max_churn = 0.0001"))
    _call(root, "refresh", "--as-of", MOMENTS[2], "--publish", codes=(0, 3, 4))
    settings.write_text(before)


def _used(root: Path) -> None:
    """Some people look, and like something."""
    from freshet import Recommender

    with Recommender.open(root) as shop:
        for number in range(20):
            user = f"user{number:05d}"
            if number == 7:
                continue
            answer = shop.recommend(user)
            offer = answer.interests[0]
            item = offer.items[0].id if offer.items else "item0002"
            shop.record(user, item, 9.0, LAST, impression=answer.id)


def _call(root: Path, *arguments: str, codes: tuple[int, ...] = (0,)) -> None:
    from freshet.cli import app

    began = time.process_time()
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = app.run(["--debug", *arguments, "-w", str(root)])
    print(f"{time.process_time() - began:5.1f}", *arguments, file=sys.stderr)
    if code not in codes:
        sys.exit(f"{arguments} ended with {code}: {said.getvalue()[-1500:]}")
