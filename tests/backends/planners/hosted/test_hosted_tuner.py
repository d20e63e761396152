"""Fine-tuning jobs of a SIMULATED server: begun once, waited for, priced, and never paid twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freshet.backends.planners.batch.batch_tuner import BatchTuner
from freshet.backends.planners.endpoint.endpoint_tuner import EndpointSettings, EndpointTuner
from freshet.backends.planners.endpoint.server_card import ServerCard, read_server_card
from freshet.backends.planners.endpoint.spending import Spending
from freshet.backends.planners.hosted.chat_examples import chats
from freshet.backends.planners.hosted.hosted_tuner import HostedTuner, form_of_name
from freshet.core.errors import AnswersPending, ConfigError, NotEnoughData, PlannerError, PlannerGone
from freshet.core.ports import Budget, TuningJob, TuningPlan
from freshet.core.types import Example, Interests, Prompt
from tests.backends.planners.batch.provider_server import KEY, Provider

NAMES = ("jazz", "rock", "folk")
INTERESTS = Interests(np.arange(3, dtype=np.int32), NAMES, np.eye(3, dtype=np.float32))
EXAMPLES = [
    Example(Prompt((i % 3,), f"liked : {NAMES[i % 3]} {i} ; next :"), (i + 1) % 3, "") for i in range(12)
]
JOB = TuningJob(
    INTERESTS, EXAMPLES, [], "description", 2.0, 0.0, 0, 16, Budget(None, 1.0), 7, until="2024-02-05"
)


class Begun:
    """A tuner on a workspace, and what it said."""

    def __init__(self, root: Path, provider: Provider, spending: Spending | None = None) -> None:
        self.root = root
        self.said: list[str] = []
        self.spending = spending or Spending(trained=25.0, currency="USD")
        settings = EndpointSettings(f"{provider.address}/v1", "base", "OPENAI_API_KEY", timeout=5.0)
        self.tuner = HostedTuner(
            lambda one: BatchTuner(one, "openai", root, self.spending),
            settings,
            root,
            self.spending,
            28,
            self.said.append,
        )

    def tune(self, job: TuningJob = JOB, role: str = "model") -> Path:
        into = self.root / "models" / "draft" / role
        self.tuner.tune(job, into)
        return into


def test_a_job_is_begun_once_waited_for_and_named_in_the_card(tmp_path: Path, provider: Provider) -> None:
    begun = Begun(tmp_path, provider)
    for _ in range(3):
        with pytest.raises(AnswersPending, match="job ftjob-1 of 12 examples is running"):
            begun.tune()
    assert len(provider.jobs) == 1
    job = provider.jobs["ftjob-1"]
    assert (job["model"], job["seed"], job["suffix"]) == ("base", 7, "freshet")
    assert job["method"] == {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}}
    lines = [json.loads(line) for line in provider.files[job["training_file"]].splitlines()]
    assert len(lines) == 12
    assert [message["role"] for message in lines[0]["messages"]] == ["system", "user", "assistant"]
    assert lines[0]["messages"][-1]["content"] == '{"best": ["B"]}'
    assert len([line for line in begun.said if "12 examples: about" in line]) == 1
    assert begun.said[0].endswith("about 4,218 tokens in 2 passes, 0.11 USD")
    provider.end()
    report = begun.tuner.tune(JOB, tmp_path / "models" / "one" / "model")
    assert (report.examples, report.usage.trained) == (12, 999)
    card = read_server_card(tmp_path / "models" / "one" / "model")
    assert (card.model, card.form) == ("ft:base:1", "list")
    version = begun.tuner.version(tmp_path / "models" / "one" / "model", INTERESTS)
    assert version == begun.tuner.open(tmp_path / "models" / "one" / "model", INTERESTS).version
    assert KEY not in "".join(path.read_text() for path in (tmp_path / "hosted").iterdir())


def test_the_holdout_model_has_a_job_of_its_own(tmp_path: Path, provider: Provider) -> None:
    begun = Begun(tmp_path, provider)
    before = replace(JOB, examples=EXAMPLES[:10], until="2024-01-08")
    for job, role in ((before, "forerunner"), (JOB, "model")):
        with pytest.raises(AnswersPending):
            begun.tune(job, role)
    assert len(provider.jobs) == 2
    provider.end()
    cards = [
        read_server_card(begun.tune(job, role)) for job, role in ((before, "forerunner"), (JOB, "model"))
    ]
    assert [card.model for card in cards] == ["ft:base:1", "ft:base:2"]
    assert "fine-tuning the model that is judged on 10 examples" in begun.said[0]


def test_equal_examples_are_paid_once(tmp_path: Path, provider: Provider) -> None:
    begun = Begun(tmp_path, provider)
    for role in ("forerunner", "model"):
        with pytest.raises(AnswersPending):
            begun.tune(role=role)
    assert len(provider.jobs) == 1


def test_a_later_tuning_waits_for_the_job_that_is_under_way(tmp_path: Path, provider: Provider) -> None:
    begun = Begun(tmp_path, provider)
    with pytest.raises(AnswersPending):
        begun.tune()
    newer = replace(JOB, examples=EXAMPLES[1:], until="2024-02-09")
    with pytest.raises(AnswersPending, match="ftjob-1"):
        begun.tune(newer)
    provider.end()
    begun.tune(newer)  # its model is used now
    with pytest.raises(AnswersPending, match="ftjob-2"):
        begun.tune(replace(JOB, examples=EXAMPLES[2:], until="2024-02-20"))
    assert len(provider.jobs) == 2


@pytest.mark.parametrize("until", ["2024-01-01", "2024-04-01"])
def test_a_job_of_a_later_moment_or_of_long_ago_is_not_used(
    tmp_path: Path, provider: Provider, until: str
) -> None:
    begun = Begun(tmp_path, provider)
    with pytest.raises(AnswersPending, match="ftjob-1"):
        begun.tune()
    provider.end()
    with pytest.raises(AnswersPending, match="ftjob-2"):
        begun.tune(replace(JOB, examples=EXAMPLES[1:], until=until))


def test_a_job_whose_creation_went_unanswered_is_found(tmp_path: Path, provider: Provider) -> None:
    begun = Begun(tmp_path, provider)
    provider.lost = 1
    with pytest.raises(PlannerGone):
        begun.tune()
    with pytest.raises(AnswersPending, match="ftjob-1"):
        begun.tune()
    assert len(provider.jobs) == 1
    assert "fine-tuning job ftjob-1 was begun by an earlier run" in begun.said


def test_a_refused_job_is_begun_again_later(tmp_path: Path, provider: Provider) -> None:
    begun = Begun(tmp_path, provider)
    provider.refuse = [(400, {"error": {"message": "base can't be fine-tuned"}})]
    with pytest.raises(ConfigError, match="base can't be fine-tuned"):
        begun.tune()
    with pytest.raises(AnswersPending, match="ftjob-1"):
        begun.tune()


def test_a_failed_job_is_told_and_the_next_run_begins_another(tmp_path: Path, provider: Provider) -> None:
    begun = Begun(tmp_path, provider)
    with pytest.raises(AnswersPending):
        begun.tune()
    provider.end("failed")
    with pytest.raises(PlannerError, match="ftjob-1 ended without a model: bad line 3"):
        begun.tune()
    with pytest.raises(AnswersPending, match="ftjob-2"):
        begun.tune()


def test_what_is_too_dear_too_little_or_not_there_is_refused_before_it_costs(
    tmp_path: Path, provider: Provider
) -> None:
    with pytest.raises(ConfigError, match=r"max_money_per_run = 1e-06 USD is reached.*not begun"):
        Begun(tmp_path, provider, Spending(max_money=1e-6, trained=25.0, currency="USD")).tune()
    with pytest.raises(ConfigError, match=r"max_tokens_per_run = 10 is reached"):
        Begun(tmp_path, provider, Spending(max_tokens=10)).tune()
    with pytest.raises(NotEnoughData, match="9 examples are too few"):
        Begun(tmp_path, provider).tune(replace(JOB, examples=EXAMPLES[:9]))
    with pytest.raises(ConfigError, match="learning_rate can't be chosen"):
        Begun(tmp_path, provider).tune(replace(JOB, learning_rate=0.1))
    assert provider.files == {}
    plan = TuningPlan(NAMES, "description", 2, 3, 16)
    Begun(tmp_path, provider).tuner.check(plan)
    provider.trains = False
    with pytest.raises(ConfigError, match="has no fine-tuning jobs"):
        Begun(tmp_path, provider).tuner.check(plan)


@pytest.mark.parametrize(
    ("form", "answer"), [("letters", "B"), ("list", '{"best": ["B"]}'), ("text", "folk")]
)
def test_examples_end_with_the_answer_of_their_form(form: str, answer: str) -> None:
    options = Example(Prompt((0,), "liked : jazz ; next :", options=(1, 2)), 2, "")
    outside = Example(Prompt((0,), "liked : jazz ; next :", options=(1,)), 2, "")
    found = chats(form_of_name(form, INTERESTS), NAMES, [options, outside])
    [line] = map(json.loads, found.content.splitlines())
    assert found.examples == 1
    assert line["messages"][-1] == {"role": "assistant", "content": answer}
    card = ServerCard("", "", form)
    assert card.form == form


def test_a_model_that_is_asked_at_once_is_probed_before_and_after(tmp_path: Path, provider: Provider) -> None:
    settings = EndpointSettings(f"{provider.address}/v1", "base", "OPENAI_API_KEY", timeout=5.0)
    spending = Spending()
    tuner = HostedTuner(
        lambda one: EndpointTuner(one, tmp_path, spending), settings, tmp_path, spending, 28, lambda _: None
    )
    tuner.check(TuningPlan(NAMES, "description", 2, 3, 16))
    with pytest.raises(AnswersPending):
        tuner.tune(JOB, tmp_path / "models" / "one" / "model")
    probed = len(provider.chats)
    assert set(provider.chats) == {"base"}
    with pytest.raises(AnswersPending):
        tuner.tune(JOB, tmp_path / "models" / "one" / "model")
    assert len(provider.chats) == probed  # a job under way is looked at, nothing else
    provider.end()
    tuner.tune(JOB, tmp_path / "models" / "one" / "model")
    assert set(provider.chats[probed:]) == {"ft:base:1"}
    card = read_server_card(tmp_path / "models" / "one" / "model")
    assert (card.model, card.form, card.batch) == ("ft:base:1", "list", "")
    model = tuner.open(tmp_path / "models" / "one" / "model", INTERESTS)
    ranking = model.rank([Prompt((0,), "liked : jazz ; next :")], 2)
    assert ranking.failures == ()
    assert provider.chats[-1] == "ft:base:1"
