"""A server that is read token by token: SIMULATED, with the next tokens of a real model, and faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from freshet.backends.http_json import Failing, Refusal
from freshet.backends.planners import model_folder, token_search
from freshet.backends.planners.endpoint import token_tuner, token_wire
from freshet.backends.planners.endpoint.endpoint_tuner import EndpointSettings
from freshet.backends.planners.endpoint.spending import Spending
from freshet.backends.planners.endpoint.token_card import read_token_card
from freshet.backends.planners.endpoint.token_server import read_completions
from freshet.backends.planners.endpoint.token_tuner import TokenTuner
from freshet.backends.planners.local_planner import LocalPlanner
from freshet.backends.planners.token_planner import TokenPlanner
from freshet.checks import check_planner
from freshet.core.errors import ArtifactError, ConfigError, PlannerError, PlannerGone
from freshet.core.ports import TuningPlan
from simulated_tokens import SimulatedTokens, serving
from tests.backends.planners import worlds
from tests.backends.planners.endpoint.tuned_models import next_tokens, save_tuned

MODES = ("description", "label")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tuned models by mode."""
    return {mode: save_tuned(tmp_path_factory.mktemp(mode), mode) for mode in MODES}


class World:
    """A server on one of the models, and tuners for it."""

    def __init__(self, folder: Path, mode: str, server: SimulatedTokens, work: Path) -> None:
        self.folder = folder
        self.mode = mode
        self.server = server
        self.work = work
        self.spending = Spending()

    def tuner(self, folder: Path | None = None) -> TokenTuner:
        settings = EndpointSettings(self.server.endpoint, "tuned", timeout=5)
        return TokenTuner(settings, folder or self.folder, self.spending)

    def planner(self) -> TokenPlanner:
        tuner = self.tuner()
        tuner.check(plan(self.mode))
        tuner.tune(worlds.job(self.mode, []), self.work)
        return tuner.open(self.work, worlds.interests())


def plan(mode: str, interests: int = worlds.N) -> TuningPlan:
    return TuningPlan(worlds.DESCRIPTIONS[:interests], mode, 2, 3, 16)


@pytest.fixture
def world(folders: dict[str, Path], tmp_path: Path) -> Iterator:
    with ExitStack() as stack:

        def make(mode: str = "label", **behaviour: object) -> World:
            server = SimulatedTokens(**behaviour)
            server.decode = model_folder.load_tokenizer(folders[mode]).decode
            stack.enter_context(serving(next_tokens(folders[mode]), server))
            return World(folders[mode], mode, server, tmp_path / "card")

        yield make


@pytest.mark.parametrize("dialect", [one.name for one in token_wire.DIALECTS])
@pytest.mark.parametrize("mode", MODES)
def test_it_ranks_as_the_model_here_does(world, mode: str, dialect: str) -> None:
    here = world(mode, dialect=dialect)
    planner = here.planner()
    local = LocalPlanner(here.folder, worlds.interests(), device="cpu")
    prompts = worlds.prompts(mode, 40)
    got, expected = planner.rank(prompts, worlds.N), local.rank(prompts, worlds.N)
    assert np.array_equal(got.successors, expected.successors)
    assert np.allclose(got.logp, expected.logp, atol=1e-4)
    assert got.failures == ()
    assert planner.generate(prompts[:6]) == local.generate(prompts[:6])
    assert planner.abilities == local.abilities
    if mode == "label":
        mass, whole = planner.label_mass(prompts), local.label_mass(prompts)
        assert (mass <= whole + 1e-6).all()  # llama.cpp shows the likeliest tokens only
        assert dialect != "vllm" or np.allclose(mass, whole, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_it_keeps_the_planners_contract(world, mode: str) -> None:
    check_planner(world(mode).planner(), worlds.prompts(mode, 5), worlds.N)


def test_many_texts_go_in_one_request_and_many_tokens_in_several(world, monkeypatch) -> None:
    here = world("label")
    planner = here.planner()
    prompts = worlds.prompts("label", 40)
    before = here.server.requests
    whole = planner.rank(prompts, worlds.N)
    assert here.server.requests - before == 2  # 32 and 8
    assert whole.usage.requests == 2 == planner.size(prompts).requests
    assert whole.usage.tokens == planner.size(prompts).tokens
    monkeypatch.setattr(token_wire.VllmDialect, "most", 5)
    parts = here.planner().rank(prompts, worlds.N)
    assert parts.usage.requests == 6  # 12 labels, 5 at once
    assert np.array_equal(parts.successors, whole.successors)
    assert np.allclose(here.planner().label_mass(prompts), planner.label_mass(prompts), atol=1e-6)


def test_a_text_that_the_server_refuses_costs_its_own_row_only(world) -> None:
    here = world("label")
    planner = here.planner()
    prompts = worlds.prompts("label", 40)
    expected = planner.rank(prompts, worlds.N)
    here.server.refuses = tuple(planner._tokens(prompts[7:8])[0])
    got = planner.rank(prompts, worlds.N)
    lost = [row for row, prompt in enumerate(prompts) if prompt.text == prompts[7].text]
    assert [row for row, _ in got.failures] == lost
    assert "this text is refused" in got.failures[0][1]
    kept = np.setdiff1d(np.arange(40), lost)
    assert np.array_equal(got.successors[kept], expected.successors[kept])
    assert (got.successors[lost] == -1).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_dies_leaves_what_it_answered(world, monkeypatch, mode: str) -> None:
    monkeypatch.setattr(token_wire.VllmDialect, "texts", 1)
    monkeypatch.setattr(token_search, "TOGETHER", 3)
    monkeypatch.setattr("freshet.backends.http_json.FIRST_WAIT", 0.0)
    here = world(mode)
    planner = here.planner()
    planner._reader._concurrency = 1
    prompts = worlds.prompts(mode, 20)
    expected = planner.rank(prompts, worlds.N)
    here.server.dies_after = here.server.requests + (60 if mode == "description" else 9)
    got = planner.rank(prompts, worlds.N)
    whole = (got.successors >= 0).all(axis=1)
    assert got.gone
    assert 3 <= whole.sum() < 20
    if mode == "label":
        assert whole.tolist() == [True] * 9 + [False] * 11
    assert np.array_equal(got.successors[whole], expected.successors[whole])
    assert (got.successors[~whole] == -1).all()  # no half of a search counts as a row
    with pytest.raises(PlannerGone):
        planner.rank(prompts, worlds.N)
    assert got.failures == ()


@pytest.mark.parametrize("counts", [True, False])
def test_what_it_may_use_is_kept(world, counts: bool) -> None:
    """Also where the server doesn't say what answers took."""
    here = world("label", counts=counts)
    planner = here.planner()
    here.spending.max_tokens = here.spending.used.tokens + 100
    prompts = worlds.prompts("label", 200)
    with pytest.raises(PlannerGone, match="max_tokens_per_run"):
        planner.rank(prompts, worlds.N)
    assert here.spending.used.tokens <= here.spending.max_tokens
    one = here.planner()

    def one_by_one() -> None:
        for prompt in prompts:
            one.rank([prompt], worlds.N)

    with pytest.raises(PlannerGone, match="max_tokens_per_run"):
        one_by_one()


@pytest.mark.parametrize(
    ("places", "why"), [([0, 0], Failing.REFUSED), ([0], Failing.REFUSED), ([0, 1e999], Failing.BUSY)]
)
def test_answers_belong_to_the_texts_that_were_asked(places: list[float], why: Failing) -> None:
    body = json.dumps({"choices": [{"index": place} for place in places]}).encode()
    with pytest.raises(Refusal) as found:
        read_completions(2)(body)
    assert found.value.why == why


def test_tokens_that_a_server_keeps_to_itself_are_a_failure_of_their_prompt(world) -> None:
    here = world("label")
    planner = here.planner()
    here.server.silent = frozenset(planner._labels[5:6].tolist())
    got = planner.rank(worlds.prompts("label", 3), 4)
    assert [row for row, _ in got.failures] == [0, 1, 2]
    assert "says nothing of token" in got.failures[0][1]
    with pytest.raises(PlannerError, match="says nothing of token"):
        planner.label_mass(worlds.prompts("label", 3))


def test_a_server_that_ignores_the_wish_is_found_out(world) -> None:
    here = world("label", dialect="")
    with pytest.raises(ConfigError, match="does not tell the probabilities of tokens") as error:
        here.planner()
    assert "vllm" in str(error.value)
    assert "llama.cpp" in str(error.value)


def test_a_server_of_another_model_is_found_out(world) -> None:
    here = world("label", spelling="something else")
    with pytest.raises(ConfigError, match="spells tokens in another way"):
        here.planner()
    here.server.spelling = " < i 0 > "
    assert here.planner().note.count("does not say") == 0
    here.server.spelling = None
    assert "does not say how it spells" in here.planner().note


def test_a_model_that_is_not_served_is_named(world) -> None:
    here = world("label")
    tuner = TokenTuner(EndpointSettings(here.server.endpoint, "other"), here.folder, Spending())
    with pytest.raises(ConfigError, match=r"'other' is not served .* lists tuned"):
        tuner.tune(worlds.job("label", []), here.work)


def test_a_folder_that_does_not_fit_is_refused_before_anything_is_asked(world, folders, tmp_path) -> None:
    here = world("label")
    with pytest.raises(ConfigError, match="was tuned to write labels"):
        here.tuner().check(plan("description"))
    with pytest.raises(ConfigError, match="was tuned for 12 interests"):
        here.tuner().check(plan("label", 11))
    bare = worlds.save_checkpoint(tmp_path / "bare")
    here.tuner(bare).check(plan("description"))
    with pytest.raises(ConfigError, match="was not tuned by Freshet"):
        here.tuner(bare).check(plan("label"))
    with pytest.raises(ConfigError, match="holds no tokenizer"):
        here.tuner(tmp_path / "nothing").check(plan("description"))
    assert here.server.requests == 0


def test_its_version_follows_what_decides_the_answers(world, folders, tmp_path) -> None:
    here = world("label")
    version = here.planner().version
    assert here.planner().version == version
    tuner = here.tuner()
    other = replace(worlds.interests(), descriptions=tuple(name.upper() for name in worlds.DESCRIPTIONS))
    assert tuner.version(here.work, worlds.interests()) == version
    assert tuner.version(here.work, other) == version  # labels are named by their number
    tuner.beam = 3
    assert tuner.version(here.work, worlds.interests()) != version
    changed = save_tuned(tmp_path / "changed", "label", "llama")
    assert here.tuner(changed).recipe != here.tuner().recipe
    assert here.tuner(tmp_path / "nothing").recipe == ""


def test_a_damaged_card_is_said(world) -> None:
    here = world("label")
    here.planner()
    card = here.work / "freshet.json"
    assert read_token_card(here.work).limit == 256
    content = json.loads(card.read_text())
    for wrong in ({**content, "kind": "openai"}, {**content, "surprise": 1}, []):
        card.write_text(json.dumps(wrong))
        with pytest.raises(ArtifactError, match="card of a server"):
            here.tuner().open(here.work, worlds.interests())


def test_its_cost_is_known_before_anything_is_asked(world) -> None:
    here = world("description")
    prompts = worlds.prompts("description", 30)
    size = here.tuner().preview(worlds.interests()).size(prompts)
    assert here.server.requests == 0
    cost = here.planner().rank(prompts, worlds.N).usage
    assert 0 < cost.tokens <= size.tokens
    assert 0 < cost.written <= size.written


def test_the_server_limits_the_length_of_texts(world) -> None:
    here = world("label", limit=9)
    with pytest.raises(PlannerError, match="the model has 9"):
        here.planner().rank(worlds.prompts("label", 5), 2)
    assert token_tuner.TOKENIZER in {path.name for path in here.work.iterdir()}


@pytest.mark.parametrize(("dialect", "told"), [("vllm", True), ("llama.cpp", False)])
def test_letters_in_several_tokens_need_a_server_that_tells_of_them(world, dialect: str, told: bool) -> None:
    here = world("description", dialect=dialect)
    job = worlds.job("description", [])
    named = (*worlds.DESCRIPTIONS[:-1], "ужас")  # its letters are two bytes each, of which none is a token
    job = replace(job, interests=replace(worlds.interests(), descriptions=named))
    if told:
        here.tuner().tune(job, here.work)
    else:
        with pytest.raises(ConfigError, match="only a part of a letter"):
            here.tuner().tune(job, here.work)
