from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest

from freshet.backends import http_json
from freshet.backends.planners.endpoint.answer_store import AnswerStore
from freshet.backends.planners.endpoint.spending import Spending
from freshet.checks import check_planner
from freshet.core.errors import PlannerGone
from simulated_chat import Behaviour, Simulated, serving

from .asking_world import NAMES, planner, prompts, tuner


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_json, "FIRST_WAIT", 0.01)


@pytest.mark.parametrize(
    ("behaviour", "form"),
    [
        (Behaviour(), "letters"),
        (Behaviour(logprobs=0, decision=True), "decision"),
        (Behaviour(logprobs=0), "list"),
        (Behaviour(logprobs=0, schema=False), "text"),
    ],
)
def test_it_keeps_the_contract_in_every_form(behaviour: Behaviour, form: str, tmp_path: Path) -> None:
    with serving(behaviour) as server:
        one = planner(server, tmp_path)
        assert one.card.form == form
        check_planner(one, prompts(), len(NAMES))


def test_nothing_is_asked_twice_not_even_by_another_process(simulated: Simulated, tmp_path: Path) -> None:
    asked = prompts(20)
    first = planner(simulated, tmp_path).rank([*asked, *asked[:5]], 6)
    chats = simulated.chats
    assert first.usage.requests == 20
    again = planner(simulated, tmp_path)
    probing = simulated.chats - chats
    found = again.rank(asked, 6)
    assert np.array_equal(found.logp, first.logp[:20])  # to the last bit
    assert (found.usage.requests, simulated.chats - chats) == (0, probing)
    assert again.size(asked).requests == 0


def test_answers_are_joined_to_their_prompts_however_they_come(simulated: Simulated, tmp_path: Path) -> None:
    asked = prompts(30)
    together = planner(simulated, tmp_path / "a", concurrency=16).rank(asked, 6)
    alone = planner(simulated, tmp_path / "b", concurrency=1)
    for row, prompt in enumerate(asked):
        assert np.array_equal(alone.rank([prompt], 6).successors[0], together.successors[row])


def test_a_name_that_does_not_exist_is_asked_again_and_told(tmp_path: Path) -> None:
    with serving(Behaviour(logprobs=0, schema=False, invalid=0.5, mends=True)) as server:
        found = planner(server, tmp_path).rank(prompts(30), 6)
        assert found.failures == ()
        assert 5 <= found.usage.invalid <= 25
        assert found.usage.requests == 30 + found.usage.invalid
        retold = [b for _, b in server.seen if "Unheard of Things" in b["messages"][-1]["content"]]
        assert len(retold) == found.usage.invalid


def test_a_prompt_that_is_never_answered_validly_fails_alone(tmp_path: Path) -> None:
    with serving(Behaviour(logprobs=0, schema=False, invalid=0.5)) as server:
        one = planner(server, tmp_path, tries=1)
        found = one.rank(prompts(30), 6)
        failed = [row for row, _ in found.failures]
        assert 5 <= len(failed) <= 25
        assert found.usage.invalid == 2 * len(failed)
        assert (found.successors[failed] == -1).all()
        assert (np.delete(found.successors, failed, axis=0)[:, 0] >= 0).all()
        assert "is no description from the list" in found.failures[0][1]
        written = one.generate(prompts(30))
        assert sum(text in NAMES for text in written) == 30 - len(failed)


def test_a_busy_server_is_waited_for(simulated: Simulated, tmp_path: Path) -> None:
    one = planner(simulated, tmp_path)
    simulated.behaviour = Behaviour(busy_every=10)
    found = one.rank(prompts(30), 6)
    assert found.failures == ()
    assert simulated.twice() == 0
    assert found.usage.requests > 30


def test_a_prompt_that_is_refused_fails_alone_and_is_not_tried_again(
    simulated: Simulated, tmp_path: Path
) -> None:
    one = planner(simulated, tmp_path)
    simulated.behaviour = Behaviour(refuses=0.3)
    found = one.rank(prompts(30), 6)
    assert 2 <= len(found.failures) <= 18
    assert found.usage.requests == 30
    assert "This prompt can't be answered" in found.failures[0][1]
    assert found.gone == ""


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"dies_after": 12}, "closed connection without response"),
        ({"hangs_after": 12}, "timed out"),
        ({"spent_after": 12}, "You exceeded your current quota; the account's balance or quota is spent"),
        ({"long_after": 12}, "it asks to wait 3600 seconds"),
    ],
)
def test_a_server_that_is_gone_in_the_middle_is_left_alone_with_what_it_answered(
    fault: dict[str, int], why: str, simulated: Simulated, tmp_path: Path
) -> None:
    one = planner(simulated, tmp_path, timeout=0.5)
    simulated.answered.clear()  # a second probe asks what the first did
    before = simulated.chats
    simulated.behaviour = Behaviour(**{name: before + count for name, count in fault.items()})
    asked = prompts(30)
    found = one.rank(asked, 6)
    assert why in found.gone
    answered = (found.successors[:, 0] >= 0).sum()
    assert answered == 12
    chats = simulated.chats
    with pytest.raises(PlannerGone, match="http"):
        one.rank(asked, 6)
    assert simulated.chats == chats  # nobody is asked any more
    simulated.behaviour = Behaviour()
    rest = planner(simulated, tmp_path).rank(asked, 6)
    assert rest.usage.requests == 18
    assert rest.failures == ()
    assert simulated.twice() == 0


def test_a_server_that_is_not_there_is_given_up_soon(simulated: Simulated, tmp_path: Path) -> None:
    one = planner(simulated, tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        one._asker._server.client.base = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(PlannerGone, match="refused"):
            one.rank(prompts(30), 6)
    assert one._asker._server.client.sent < 60


def test_a_wrong_key_ends_it_and_is_said_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-very-secret-4711"
    monkeypatch.setenv("FRESHET_TEST_KEY", key)
    with serving(Behaviour(key=key)) as server:
        one = planner(server, tmp_path, api_key_env="FRESHET_TEST_KEY")
        one.rank(prompts(5), 6)
        assert server.seen[-1][0]["Authorization"] == f"Bearer {key}"
        monkeypatch.setenv("FRESHET_TEST_KEY", f"{key}-old")
        with pytest.raises(PlannerGone, match=r"HTTP 401 Unauthorized; .*FRESHET_TEST_KEY is set") as told:
            one.rank(prompts(30)[5:], 6)
        assert key not in str(told.value)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or key.encode() not in path.read_bytes(), path


def test_no_token_is_used_beyond_a_budget(simulated: Simulated, tmp_path: Path) -> None:
    spending = Spending(max_tokens=3000)
    one = planner(simulated, tmp_path, spending)
    found = one.rank(prompts(30), 6)
    assert "max_tokens_per_run = 3,000 is reached" in found.gone
    assert 0 < (found.successors[:, 0] >= 0).sum() < 30
    assert spending.used.tokens <= 3000
    with pytest.raises(PlannerGone, match="max_tokens_per_run"):
        one.rank(prompts(30), 6)


def test_no_money_is_spent_beyond_a_budget(simulated: Simulated, tmp_path: Path) -> None:
    spending = Spending(max_money=0.01, read=1.0, written=50.0, currency="EUR")
    found = planner(simulated, tmp_path, spending).rank(prompts(30), 6)
    assert spending.money(spending.used) <= 0.01 or not found.gone
    one = planner(
        simulated, tmp_path / "b", Spending(max_money=0.001, read=1.0, written=50.0, currency="EUR")
    )
    found = one.rank(prompts(30), 6)
    assert "max_money_per_run = 0.001 EUR is reached" in found.gone


def test_a_server_that_counts_no_tokens_is_charged_by_the_estimate(tmp_path: Path) -> None:
    with serving(Behaviour(counts=False)) as server:
        one = planner(server, tmp_path)
        expected = one.size(prompts(10))
        assert one.rank(prompts(10), 6).usage.tokens == expected.tokens > 0


def test_estimates_are_by_the_servers_own_count(simulated: Simulated, tmp_path: Path) -> None:
    one = planner(simulated, tmp_path)
    expected = one.size(prompts(20))
    usage = one.rank(prompts(20), 6).usage
    assert expected.requests == usage.requests == 20
    assert expected.written == usage.written == 20
    assert abs(expected.tokens - usage.tokens) < 0.1 * usage.tokens


def test_the_version_covers_all_that_decides_answers(simulated: Simulated, tmp_path: Path) -> None:
    def version(number: int, **changes: object) -> str:
        return planner(simulated, tmp_path / str(number), **changes).version

    same = version(0)
    assert version(1, concurrency=9, timeout=9.0, tries=0) == same
    others = [
        version(2, answers="list"),
        version(3, request={"seed": 4}),
        version(4, names=(*NAMES[:5], "crime black")),
    ]
    assert len({same, *others}) == 4


def test_the_recipe_covers_the_settings_that_decide_what_is_asked_of_whom(
    simulated: Simulated, tmp_path: Path
) -> None:
    same = tuner(simulated, tmp_path).recipe
    costs = {"concurrency": 9, "timeout": 9.0, "tries": 0, "api_key_env": "OTHER"}
    assert tuner(simulated, tmp_path / "elsewhere", Spending(max_tokens=9), **costs).recipe == same
    changes = {
        "endpoint": "http://x/v1",
        "model": "m",
        "answers": "list",
        "shortlist": 9,
        "request": {"seed": 1},
    }
    others = [tuner(simulated, tmp_path, **{name: value}).recipe for name, value in changes.items()]
    assert len({same, *others}) == 6


def test_answers_survive_in_the_store_to_the_last_bit(tmp_path: Path, simulated: Simulated) -> None:
    planner(simulated, tmp_path).rank(prompts(10), 6)
    store = AnswerStore(tmp_path)
    assert len(store) == 10
    assert (store.path.stat().st_mode & 0o077) == 0
