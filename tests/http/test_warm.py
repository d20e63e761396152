"""A server's first request finds everything compiled: what is compiled, or loaded, takes tens of milliseconds."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from freshet import operations, pipeline
from freshet.core.types import AsOf
from freshet.simulator import World, generate
from freshet.wiring import open_workspace

FIRST_REQUESTS = """
import gc, json, sys
from pathlib import Path
from numba.core.dispatcher import Dispatcher
from freshet.http.server import warm_up
from freshet.serving import Query
from freshet.wiring import open_recommender

def compiled():
    return sum(len(one.signatures) for one in gc.get_objects() if isinstance(one, Dispatcher))

recommender = open_recommender(Path(sys.argv[1]))
warm_up(recommender)
release = recommender._releases.current
before = compiled()
answers = [recommender.recommend(Query(user=f"user{n:05d}", log=False)) for n in range(40)]
listed = recommender.recommend(Query(history=tuple(release.items)[:5], log=False))
print(json.dumps({
    "parts": [release.content is not None, release.overlay is not None, release.scorer.sequence is not None],
    "known": sum(bool(one.context) for one in (*answers, listed)),
    "before": before,
    "more": compiled() - before,
}))
recommender.close()
"""


SETTINGS = """
[events]
files = ["world/events.parquet"]
items = "world/items.parquet"
positive = "value >= 7"
[interests]
count = 8
[planner]
kind = "counts"
"""


@pytest.mark.slow
def test_nothing_is_compiled_for_a_first_request(tmp_path: Path) -> None:
    generate(World(themes=8, items=96, users=150, days=50, change_day=40, sessions=8), tmp_path / "world")
    (tmp_path / "freshet.toml").write_text(SETTINGS)
    ws = open_workspace(tmp_path)
    operations.import_log(ws, datetime.now(UTC))
    pipeline.refresh(ws, AsOf.parse("2024-02-20"), publish=True)
    done = subprocess.run(
        [sys.executable, "-c", FIRST_REQUESTS, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["parts"][0], found  # content, which a user with a history needs
    assert found["known"] > 0
    assert found["before"] > 5
    assert found["more"] == 0, found
