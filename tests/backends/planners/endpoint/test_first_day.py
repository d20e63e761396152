"""A model behind a server as the prior of a log's first days, by `freshet run` as a process of its own.

The server is SIMULATED: it answers by a hash of the prompt, and knows nothing.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from simulated_chat import Simulated
from tests.backends.planners.endpoint.test_end_to_end import freshet, shop
from tests.pipeline.world import rewrite


def few(world: Path, into: Path) -> Path:
    """The world as three people know it."""

    def three(events: pa.Table) -> pa.Table:
        users = sorted(set(events["user_id"].to_pylist()))[:3]
        return events.filter(pc.is_in(events["user_id"], pa.array(users)))

    return rewrite(world, into, three)


def test_a_first_release_of_a_server_s_answers(world: Path, tmp_path: Path, simulated: Simulated) -> None:
    root = shop(tmp_path / "shop", few(world, tmp_path / "few"), simulated, 'use = "prior"')
    text = (root / "freshet.toml").read_text()
    (root / "freshet.toml").write_text(
        text.replace("[interests]\n", '[interests]\nformed_on = "catalogue"\n')
    )
    assert freshet(root, "import")[0] == 0
    before = simulated.chats
    code, planned, said = freshet(root, "refresh", "--dry-run")
    assert code == 0, said
    assert simulated.chats == before
    code, content, said = freshet(root, "run")
    assert code == 0, said
    assert "stands in" in content["drives"]["prior"]
    [asked] = [step for step in content["run"]["steps"] if step["name"] == "prior"]
    [expected] = [step for step in planned["run"]["steps"] if step["name"] == "plan"]
    assert asked["details"]["answered"] == asked["details"]["rows"] == expected["details"]["changed"]
    after = simulated.chats
    assert after > before
    code, content, said = freshet(root, "refresh")
    assert code == 0, said
    assert simulated.chats == after
    code, status, said = freshet(root, "status")
    assert code == 0, said
    assert status["due"] == []
