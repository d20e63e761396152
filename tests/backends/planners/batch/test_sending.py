"""Files sent to SIMULATED providers and fetched: nothing is paid twice, keys stay where they belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freshet.backends.planners.batch.batch_planner import BatchPlanner
from freshet.backends.planners.batch.batch_tuner import BatchTuner, service_of
from freshet.backends.planners.batch.batches import Batches
from freshet.backends.planners.batch.sending import fetch, submit
from freshet.backends.planners.endpoint.endpoint_tuner import EndpointSettings
from freshet.backends.planners.endpoint.spending import Spending
from freshet.core.errors import AnswersPending, ConfigError, PlannerGone
from freshet.core.types import Interests, Prompt

from .asking import answered, results
from .provider_server import KEY, Provider

NAMES = ("jazz", "rock", "folk", "blues")
PROMPTS = [Prompt((i,), f"liked : {name} ; next :") for i, name in enumerate(NAMES)]
PROTOCOLS = {
    "openai": ("/v1", "OPENAI_API_KEY"),
    "anthropic": ("/v1", "ANTHROPIC_API_KEY"),
    "gemini": ("/v1beta", "GEMINI_API_KEY"),
}


@pytest.fixture(params=[*PROTOCOLS])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def settings(provider: Provider, protocol: str) -> EndpointSettings:
    path, key = PROTOCOLS[protocol]
    return EndpointSettings(provider.address + path, "m", key, timeout=5.0)


def planner(root: Path, provider: Provider, protocol: str) -> BatchPlanner:
    tuner = BatchTuner(settings(provider, protocol), protocol, root, Spending())
    planner = tuner.preview(Interests(np.arange(4, dtype=np.int32), NAMES, np.eye(4, dtype=np.float32)))
    assert isinstance(planner, BatchPlanner)
    return planner


def written(root: Path, provider: Provider, protocol: str) -> tuple[BatchPlanner, Batches]:
    """A planner whose prompts are written, to be sent."""
    model = planner(root, provider, protocol)
    pending(model)
    return model, model.batches


def pending(model: BatchPlanner) -> None:
    model.prepare(PROMPTS)
    with pytest.raises(AnswersPending):
        model.ready()


def sent(batches: Batches, provider: Provider, protocol: str) -> list[str]:
    service = service_of(protocol, settings(provider, protocol))
    return [one.remote for one in submit(batches, service, protocol, lambda _: None)]


def fetched(batches: Batches, provider: Provider, protocol: str) -> tuple[int, str]:
    """How many answers are new, and the state of the last file."""
    service = service_of(protocol, settings(provider, protocol))
    taken, states = fetch(batches, service, protocol, lambda _: None)
    return taken.answered, states[-1][1].state if states else ""


def test_a_batch_is_sent_waited_for_and_fetched(tmp_path: Path, provider: Provider, protocol: str) -> None:
    model, batches = written(tmp_path, provider, protocol)
    [remote] = sent(batches, provider, protocol)
    assert sent(batches, provider, protocol) == []
    assert fetched(batches, provider, protocol)[0] == 0
    pending(model)
    provider.end()
    assert fetched(batches, provider, protocol)[0] == 4
    model.prepare(PROMPTS)
    model.ready()
    ranking = model.rank(PROMPTS, 2)
    assert ranking.failures == ()
    assert (ranking.successors[:, 0] >= 0).all()
    assert len(provider.asked) == len(set(provider.asked)) == 4
    [file] = batches.index.files()
    assert (file.remote, file.state, file.answered) == (remote, "closed", 4)
    text = "".join(str(path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file())
    assert KEY not in text


def test_errors_and_expiry_are_asked_again_and_nothing_else(
    tmp_path: Path, provider: Provider, protocol: str
) -> None:
    model, batches = written(tmp_path, provider, protocol)
    sent(batches, provider, protocol)
    provider.spoil = lambda place: ("ok", "error", "expire", "ok")[place]
    provider.end()
    assert fetched(batches, provider, protocol)[0] == 2
    first = set(provider.asked)
    pending(model)
    assert len(batches.index.files()) == 2
    sent(batches, provider, protocol)
    assert len(provider.asked) == len(first) + 2
    keys = [name.rpartition("-")[0] for name in provider.asked]
    assert sorted(keys.count(key) for key in set(keys)) == [1, 1, 2, 2]
    provider.spoil = lambda place: "ok"
    provider.end()
    assert fetched(batches, provider, protocol)[0] == 2
    model.prepare(PROMPTS)
    model.ready()
    assert model.rank(PROMPTS, 1).failures == ()


def test_a_batch_whose_creation_went_unanswered_is_found_and_not_paid_twice(
    tmp_path: Path, provider: Provider, protocol: str
) -> None:
    _, batches = written(tmp_path, provider, protocol)
    provider.lost = 1
    with pytest.raises(PlannerGone):
        sent(batches, provider, protocol)
    assert len(provider.batches) == 1
    [remote] = sent(batches, provider, protocol)
    assert remote.removeprefix("batches/") in provider.batches
    assert len(provider.asked) == 4
    provider.end()
    assert fetched(batches, provider, protocol)[0] == 4


def test_where_several_batches_could_be_the_lost_one_nothing_is_sent(
    tmp_path: Path, provider: Provider
) -> None:
    """Anthropic's batches have no names."""
    _, batches = written(tmp_path, provider, "anthropic")
    provider.lost = 1
    with pytest.raises(PlannerGone):
        sent(batches, provider, "anthropic")
    [name] = provider.batches
    provider.batches["anthropic_other"] = provider.batches[name]
    with pytest.raises(ConfigError, match="2 batches of the account could be it") as caught:
        sent(batches, provider, "anthropic")
    assert "freshet batch read" in caught.value.hint
    assert len(provider.batches) == 2


def test_a_batch_whose_creation_was_answered_oddly_is_found_and_not_paid_twice(
    tmp_path: Path, provider: Provider, protocol: str
) -> None:
    _, batches = written(tmp_path, provider, protocol)
    provider.garbled = 1
    with pytest.raises(ConfigError, match="the answer has no"):
        sent(batches, provider, protocol)
    assert [file.state for file in batches.index.files()] == ["sending"]
    assert len(sent(batches, provider, protocol)) == 1
    assert len(provider.batches) == 1


def test_a_refused_batch_is_sent_again_once_the_reason_is_gone(
    tmp_path: Path, provider: Provider, protocol: str
) -> None:
    _, batches = written(tmp_path, provider, protocol)
    provider.refuse = [(429, {"error": {"code": "insufficient_quota", "message": "You exceeded your quota"}})]
    with pytest.raises(PlannerGone, match="You exceeded your quota"):
        sent(batches, provider, protocol)
    assert [file.state for file in batches.index.files()] == ["written"]
    assert provider.asked == []
    assert len(sent(batches, provider, protocol)) == 1


def test_an_expired_batch_keeps_what_was_done(tmp_path: Path, provider: Provider) -> None:
    model, batches = written(tmp_path, provider, "openai")
    sent(batches, provider, "openai")
    provider.end("expired")
    assert fetched(batches, provider, "openai") == (2, "expired")
    pending(model)
    sent(batches, provider, "openai")
    assert len(provider.asked) == 6


def test_a_file_that_the_provider_refuses_counts_as_failed_and_is_given_up(
    tmp_path: Path, provider: Provider
) -> None:
    model, batches = written(tmp_path, provider, "openai")
    for number in (1, 2, 3):
        sent(batches, provider, "openai")
        provider.end("failed")
        fetched(batches, provider, "openai")
        model.prepare(PROMPTS)
        if number < 3:
            with pytest.raises(AnswersPending, match="asked again: The model is not there"):
                model.ready()
    model.ready()
    failures = model.rank(PROMPTS, 1).failures
    assert len(failures) == 4
    assert failures[0][1] == "given up after 3 tries: The model is not there"


def test_what_was_sent_by_hand_is_not_sent_again(tmp_path: Path, provider: Provider) -> None:
    _, batches = written(tmp_path, provider, "openai")
    [path] = (tmp_path / "batches").rglob("requests-1.jsonl")
    names = [line.split('"')[3] for line in path.read_text().splitlines()]
    batches.take(results(tmp_path / "r.jsonl", answered(names[0], '{"best": ["A"]}')))
    assert sent(batches, provider, "openai") == []
    assert provider.asked == []


def test_a_wrong_key_and_a_server_without_batches_are_told(
    tmp_path: Path, provider: Provider, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, batches = written(tmp_path, provider, protocol)
    monkeypatch.setenv(PROTOCOLS[protocol][1], "sk-other")
    with pytest.raises(PlannerGone, match="HTTP 401") as caught:
        sent(batches, provider, protocol)
    assert "sk-other" not in str(caught.value)
    monkeypatch.setenv(PROTOCOLS[protocol][1], KEY)
    where = EndpointSettings(f"{provider.address}/v2", "m", PROTOCOLS[protocol][1], timeout=5.0)
    if protocol == "openai":
        with pytest.raises(ConfigError, match=r"/v2 takes no batches: HTTP 404"):
            submit(batches, service_of(protocol, where), protocol, lambda _: None)
    assert [file.state for file in batches.index.files()] == ["written"]


def test_files_of_another_layout_are_left_alone(tmp_path: Path, provider: Provider) -> None:
    _, batches = written(tmp_path, provider, "openai")
    said: list[str] = []
    service = service_of("gemini", settings(provider, "gemini"))
    assert submit(batches, service, "gemini", said.append) == []
    assert said == ["batches/00001/requests-1.jsonl is for openai, [planner] batch is 'gemini': left alone"]
