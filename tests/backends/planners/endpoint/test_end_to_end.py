"""`freshet run` as a process of its own, on a small simulated log, with the SIMULATED server as its model."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from freshet.backends.planners.endpoint.asker import QUEUE
from simulated_chat import MODEL, Behaviour, Simulated
from tests.pipeline.world import settings

EXTRA = """model = "{model}"
endpoint = "{endpoint}"
concurrency = 4
timeout_seconds = 5
{more}
[inference]
chunk = 16
calibration_prompts = 120
[gates]
sample = 60
[table]
max_churn = 1.0
[prices]
per_million_tokens = 1.0
per_million_tokens_written = 4.0
"""


def shop(folder: Path, world: Path, server: Simulated, more: str = "") -> Path:
    """A workspace whose planner is the server's model."""
    folder.mkdir()
    extra = EXTRA.format(model=MODEL, endpoint=server.endpoint, more=more)
    (folder / "freshet.toml").write_text(settings(world, "openai", extra))
    return folder


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "freshet", *words, "-w", str(folder)]


def freshet(folder: Path, *words: str) -> tuple[int, dict[str, Any], str]:
    """Exit status, JSON and standard error of a command."""
    done = subprocess.run(
        [*command(folder, *words), "--json"], capture_output=True, text=True, check=False, timeout=300
    )
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else {}, done.stderr


def approve(folder: Path) -> None:
    """A person's approval of what the last run waits with."""
    last = sorted((folder / "runs").glob("*.json"))[-1]
    assert freshet(folder, "approve", last.stem)[0] == 0


def judged(folder: Path, *words: str) -> None:
    """The model is judged, and approved where a gate halts that; there is no table yet."""
    assert freshet(folder, "import")[0] == 0
    code, _, said = freshet(folder, "finetune", *words)
    assert code in (0, 3), said
    if code == 3:
        approve(folder)


def released(folder: Path) -> tuple[dict[str, Any], str]:
    """The run that publishes, with a person's approval where a gate halts it: its JSON, and what was said."""
    code, content, said = freshet(folder, "run")
    if code == 3:
        approve(folder)
        code, content, again = freshet(folder, "run")
        said += again
    assert code == 0, said
    return content, said


def inference_of(content: dict[str, Any]) -> dict[str, Any]:
    [step] = [one for one in content["run"]["steps"] if one["name"] == "inference"]
    return dict(step["details"]) | {
        "requests": step["requests"],
        "written": step["written"],
        "money": step["money"],
    }


def test_cost_is_told_before_anything_is_asked_and_the_run_keeps_to_it(
    world: Path, simulated: Simulated, tmp_path: Path
) -> None:
    folder = shop(tmp_path / "shop", world, simulated)
    assert freshet(folder, "import")[0] == 0
    code, content, said = freshet(folder, "refresh", "--dry-run")
    assert (code, simulated.chats) == (0, 0), said
    [plan] = [step["details"] for step in content["run"]["steps"] if step["name"] == "plan"]
    assert "before that, the gates judge the model: about" in said
    assert "per_million_tokens is not set" not in said
    settings_file = folder / "freshet.toml"
    text = settings_file.read_text()
    settings_file.write_text(text.partition("[prices]")[0])
    assert (
        "the money leaves tokens out: [prices] per_million_tokens is not set"
        in freshet(folder, "refresh", "--dry-run")[2]
    )
    settings_file.write_text(text)
    content, said = released(folder)
    assert f"planner: server {simulated.endpoint}, model {MODEL}: log-probabilities" in said
    spent = sum(step["requests"] for step in content["run"]["steps"])
    records = [json.loads(path.read_text()) for path in sorted((folder / "runs").glob("*.json"))]
    steps = [step for record in records for step in record["steps"]]
    asked = sum(step["requests"] for step in steps)
    assert 0 < spent <= asked
    assert asked + 1 >= simulated.chats  # /models is a request, too
    expected = plan["expected"]["requests"] + plan["gates"]["requests"]
    assert sum(step["requests"] for step in steps if step["name"] != "tuning") <= expected
    tokens, money = (sum(step[key] for step in steps if step["tokens"]) for key in ("tokens", "money"))
    assert tokens <= plan["expected"]["tokens"] + plan["gates"]["tokens"]
    assert money <= plan["expected"]["money"] + plan["gates"]["money"] + 0.01
    assert inference_of(content)["not_asked"] == 0
    assert simulated.twice() == 0


def test_a_run_that_is_killed_asks_nothing_again_that_was_answered(
    world: Path, simulated: Simulated, tmp_path: Path
) -> None:
    folder = shop(tmp_path / "shop", world, simulated)
    simulated.behaviour = Behaviour(latency=0.03)
    process = subprocess.Popen(command(folder, "run"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while simulated.chats < 40:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    simulated.behaviour = Behaviour()
    released(folder)
    assert simulated.twice() <= QUEUE * 4  # answered, and not yet on the disk


def test_an_interrupted_run_keeps_what_was_under_way(
    world: Path, simulated: Simulated, tmp_path: Path
) -> None:
    folder = shop(tmp_path / "shop", world, simulated)
    simulated.behaviour = Behaviour(latency=0.03)
    process = subprocess.Popen(command(folder, "run"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while simulated.chats < 40:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait() != 0
    simulated.behaviour = Behaviour()
    released(folder)
    assert simulated.twice() == 0


def test_a_server_that_dies_leaves_the_rest_of_the_table_to_counts(
    world: Path, simulated: Simulated, tmp_path: Path
) -> None:
    folder = shop(tmp_path / "shop", world, simulated)
    earlier = ("--as-of", "2024-02-19")
    judged(folder, *earlier)
    simulated.behaviour = Behaviour(dies_after=simulated.chats + 70)
    code, content, said = freshet(folder, "run", *earlier, "--publish")
    assert code == 0, said
    found = inference_of(content)
    assert found["not_asked"] > 0
    assert "prompts were not asked, their rows go by counts: http" in said
    assert content["run"]["release"] == 1
    simulated.behaviour = Behaviour()
    code, content, said = freshet(folder, "refresh")  # as of a later moment: the rest is asked
    assert code == 0, said
    assert inference_of(content)["not_asked"] == 0


def test_a_budget_ends_asking_and_not_the_run(world: Path, simulated: Simulated, tmp_path: Path) -> None:
    folder = shop(tmp_path / "shop", world, simulated)
    judged(folder)
    settings_file = folder / "freshet.toml"
    settings_file.write_text(
        settings_file.read_text().replace("concurrency = 4", "max_tokens_per_run = 4000")
    )
    code, content, said = freshet(folder, "run")
    assert code == 0, said
    assert "max_tokens_per_run = 4,000 is reached" in said
    assert sum(step["tokens"] for step in content["run"]["steps"]) <= 4000
    assert inference_of(content)["not_asked"] > 0


def test_a_server_that_is_gone_at_the_start_fails_the_first_run_in_words(
    world: Path, simulated: Simulated, tmp_path: Path
) -> None:
    folder = shop(tmp_path / "shop", world, simulated)
    simulated.behaviour = Behaviour(spent_after=0)
    code, _, said = freshet(folder, "run")
    assert code == 2
    assert "balance or quota is spent" in said
    [counts] = (folder / "releases").glob("*")  # published before the server was asked
    assert json.loads(counts.read_text())["model"] == ""
