"""`freshet batch` from the outside: what it lists, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from freshet.backends.planners.batch.batches import Batches
from freshet.backends.planners.batch.openai_layout import OpenAILayout
from freshet.backends.planners.endpoint.answer_store import AnswerStore
from freshet.backends.planners.endpoint.chat import ChatRequest
from freshet.cli.app import run
from freshet.core.types import Usage
from tests.backends.planners.batch.asking import answered, asked, failed, results

SETTINGS = """
[planner]
kind = "openai"
model = "m"
batch = "openai"
[prices]
per_million_tokens = 1.0
per_million_tokens_written = 3.0
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A workspace with one batch of three requests."""
    (tmp_path / "freshet.toml").write_text(SETTINGS)
    batches = Batches(tmp_path, AnswerStore(tmp_path))
    requests = {name * 32: ChatRequest((("user", name),), 8) for name in "abc"}
    expected = Usage(3_000_000, written=1_000_000, requests=3)
    batches.write(OpenAILayout("m", {}), requests, model="m", planner="p", expected=expected)
    return tmp_path


def documents(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, object]]:
    capsys.readouterr()
    code = run([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_list_tells_states_and_costs(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = documents(capsys, "batch", "-w", str(shop))
    assert code == 0
    assert found["files"] == [
        {
            "batch": 1, "file": "batches/00001/requests-1.jsonl", "layout": "openai", "model": "m",
            "state": "written", "id": "", "requests": 3, "answered": 0, "failed": 0, "unasked": 0, "open": 3,
            "expected": {"tokens": 3_000_000, "written": 1_000_000, "money": 5.0}, "problems": [],
        }
    ]  # fmt: skip
    assert "`freshet batch submit`" in str(found["next"])
    assert run(["batch", "-w", str(shop)]) == 0
    assert "requests-1.jsonl" in capsys.readouterr().out


def test_results_are_read_and_priced_once(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two, _ = asked(shop)
    path = str(results(shop / "r.jsonl", answered(one, "A"), failed(two, "server_error")))
    for answers, tokens in ((1, 12), (0, 0)):
        code, found = documents(capsys, "batch", "read", "-w", str(shop), path)
        assert code == 0
        taken = found["taken"]
        assert isinstance(taken, dict)
        assert (taken["answered"], taken["failed"]) == (answers, 1)
        [file] = found["files"]  # type: ignore[misc]
        assert (file["answered"], file["failed"], file["open"]) == (1, 1, 1)
        assert file["problems"] == [{"problem": "server_error: no", "times": 1}]
        [step] = json.loads(
            (shop / "runs" / f"{len(list((shop / 'runs').glob('0*'))):05d}.json").read_text()
        )["steps"]
        assert (step["name"], step["tokens"]) == ("answers", tokens)
    code, found = documents(capsys, "batch", "close", "-w", str(shop), "1")
    assert (code, found["closed"], found["asked_again"]) == (0, 1, 1)
    assert found["next"] == "nothing is open"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("close", "7", "-w", "SHOP"), "there is no batch 7"),
        (("read", "nowhere.jsonl", "-w", "SHOP"), "nowhere.jsonl can't be read"),
        (("-w", "SHOP", "submit"), "-w and --json before 'submit'"),
    ],
)
def test_what_can_not_be_done_is_told(
    shop: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert run(["batch", *(str(shop) if one == "SHOP" else one for one in arguments)]) == 2
    assert message in capsys.readouterr().err


def test_a_planner_that_is_not_asked_in_batches_sends_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "freshet.toml").write_text('[planner]\nkind = "counts"\n')
    for command in ("submit", "fetch"):
        assert run(["batch", command, "-w", str(tmp_path)]) == 2
        assert "[planner] batch is not set" in capsys.readouterr().err
    assert documents(capsys, "batch", "-w", str(tmp_path))[1]["files"] == []
