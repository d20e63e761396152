"""What a step reads beside the settings is in its keys too, and what it doesn't read is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from freshet import operations, pipeline
from freshet.backends.planners.fake import FakeTuner
from freshet.core.errors import FreshetError
from freshet.stages.items import step as ranking_step
from freshet.stages.tuning import gate_verdict as gating
from freshet.storage.workspace import Workspace
from tests.experiments.showing import at, show, shown
from tests.pipeline.world import FAKE, FIRST, NOW, approving, copied, settings, with_tuner, workspace

Change = Callable[[Path], None]


def made(ws: Workspace) -> set[tuple[str, str]]:
    """(kind, version) of all artifacts."""
    return {(path.parts[-3], path.parts[-2]) for path in sorted(ws.root.glob("*/*/manifest.json"))}


def kinds_of(after: Workspace, before: Workspace) -> set[str]:
    return {kind for kind, _ in made(after) - made(before)}


class Other(FakeTuner):
    """Starts from another checkpoint."""

    @property
    def recipe(self) -> str:
        return "other"


def test_another_base_checkpoint_is_tuned_anew(planned: Workspace, tmp_path: Path) -> None:
    ws = with_tuner(copied(planned, tmp_path / "ws"), Other())
    assert approving(lambda: pipeline.refresh(ws, FIRST, publish=True), ws).outcome == "done"
    assert kinds_of(ws, planned) == {"models", "gates", "tables", "overlays"}


class Gone(FakeTuner):
    """Its checkpoint isn't there any more."""

    @property
    def recipe(self) -> str:
        return ""


def test_a_tuned_model_outlives_its_base(planned: Workspace, tmp_path: Path) -> None:
    ws = with_tuner(copied(planned, tmp_path / "ws"), Gone())
    assert pipeline.refresh(ws, FIRST, publish=True).outcome == "done"
    assert kinds_of(ws, planned) == set()


def test_a_checkpoint_in_a_folder_is_known_by_its_bytes(world: Path, tmp_path: Path) -> None:
    def recipe(root: Path) -> str:
        text = settings(world, "transformers").replace("[planner]", '[planner]\nmodel = "base"')
        tuner = workspace(root, text).tuner
        assert tuner is not None
        return tuner.recipe

    for name in ("one", "moved"):
        (tmp_path / name / "base").mkdir(parents=True)
        (tmp_path / name / "base" / "model.safetensors").write_bytes(b"weights")
        (tmp_path / name / "base" / "config.json").write_text("{}")
    first = recipe(tmp_path / "one")
    assert recipe(tmp_path / "moved") == first
    (tmp_path / "one" / "base" / "README.md").write_text("not read")
    assert recipe(tmp_path / "one") == first
    weights = tmp_path / "one" / "base" / "model.safetensors"
    weights.write_bytes(b"weighty")
    assert recipe(tmp_path / "one") != first


def test_without_a_planner_how_one_is_asked_plays_no_part(
    world: Path, counted: Workspace, tmp_path: Path
) -> None:
    extra = "[inference]\nbeam = 3\ntop = 5\ncalibration_prompts = 500\n[gates]\nsample = 50\n[tuning]\nseed = 9\n"
    ws = copied(counted, tmp_path / "ws", settings(world, extra=extra))
    pipeline.refresh(ws, FIRST, publish=True)
    assert made(ws) == made(counted)


def test_a_ranker_by_popularity_alone_follows_the_half_lives(
    world: Path, counted: Workspace, tmp_path: Path
) -> None:
    def rankers(half_lives: str) -> set[tuple[str, str]]:
        text = settings(world, extra="[ranker]\nuse = true\n").replace("[counts]", f"[counts]\n{half_lives}")
        ws = workspace(root, text)
        with ws.run("test") as run:
            known = pipeline.snapshot_of(ws, run, FIRST)
            ranking_step.up_to_date(ws, run, known, None)
        return {one for one in made(ws) if one[0] == "rankers"}

    root = copied(counted, tmp_path / "ws").root
    assert len(rankers("half_lives = [3.0, 9.0]")) == 1
    assert len(rankers("half_lives = [30.0, 90.0]")) == 2


def test_what_was_shown_counts_by_its_bytes(counted: Workspace, tmp_path: Path) -> None:
    text = (counted.root / "freshet.toml").read_text() + "[feedback]\nuse = true\n"
    ws = copied(counted, tmp_path / "ws", text)
    rows = [shown(f"s{n}", at("2024-02-05") + n, 0) for n in range(50)]
    show(ws, rows)
    pipeline.refresh(ws, FIRST, publish=True)
    before = copied(ws, tmp_path / "before")
    [file] = sorted((ws.root / "impressions").glob("*/*.parquet"))
    size = file.stat().st_size
    file.rename(file.with_name("renamed.parquet"))  # as another state would have named it
    pipeline.refresh(ws, FIRST, publish=True)
    assert made(ws) == made(before)
    show(ws, [row | {"interest": 1} for row in rows], "renamed")
    if file.with_name("renamed.parquet").stat().st_size != size:
        pytest.skip("the other file is not of the same size here")
    pipeline.refresh(ws, FIRST, publish=True)
    assert kinds_of(ws, before) == {"feedback"}


def test_an_item_file_of_another_form_is_read_anew(world: Path, counted: Workspace, tmp_path: Path) -> None:
    text = settings(world).replace(json.dumps(str(world / "items.parquet")), '"items.csv"')
    ws = copied(counted, tmp_path / "ws", text)
    written = "item_id,title,text\ni1,one\ttwo,three\n"
    (ws.root / "items.csv").write_text(written)
    operations.form_interests(ws, FIRST)
    before = made(ws)
    (ws.root / "items.csv").rename(ws.root / "items.jsonl")
    renamed = workspace(ws.root, text.replace("items.csv", "items.jsonl"))
    with pytest.raises(FreshetError, match=r"items\.jsonl"):  # it isn't taken for what items.csv held
        operations.form_interests(renamed, FIRST)
    assert made(ws) == before


def test_other_gates_leave_evidence_as_a_person_approved_it(
    world: Path, counted: Workspace, tmp_path: Path
) -> None:
    """An approved model is not judged again, so what was found then of evidence holds."""

    def text(sample: int) -> str:
        return settings(
            world, "fake", FAKE.replace("sample = 30", f"sample = {sample}\nrecall = 1.0")
        ).replace('level = "instance"', 'level = "auto"')

    ws = copied(counted, tmp_path / "ws", text(30))
    approving(lambda: pipeline.finetune(ws, FIRST), ws)
    [model] = ws.store.versions("models")
    level = gating.with_evidence_of(ws, model).config.evidence.level
    other = workspace(ws.root, text(40))
    assert gating.verdict(other, model) == "approved"
    assert gating.with_evidence_of(other, model).config.evidence.level == level
    assert gating.report_of(other, model) == gating.report_of(ws, model) != {}
    review = ws.decisions.review("model", model)
    assert review is not None
    (ws.root / "runs" / f"{review.run}.json").unlink()  # as where `freshet doctor` set a damaged one aside
    assert gating.verdict(other, model) == "approved"
    assert gating.report_of(other, model) == {}
    assert gating.with_evidence_of(other, model).config.evidence.level == "none"


@pytest.mark.parametrize(
    ("section", "setting", "kind"),
    [
        ("live", "user_cap = 9", "overlays"),
        ("ranker", "seed = 5", "itemmodels"),
        ("feedback", "days = 9", "feedback"),
        ("table", "width = 3", "tables"),
    ],
)
def test_a_run_follows_the_settings_of_all_that_serves(
    served: Workspace, tmp_path: Path, section: str, setting: str, kind: str
) -> None:
    """Nothing is due by the calendar: what serves was set otherwise."""
    text = (served.root / "freshet.toml").read_text()
    ws = copied(served, tmp_path / "ws", text.replace(f"[{section}]", f"[{section}]\n{setting}"))
    for again in (True, False):
        before = copied(ws, tmp_path / f"before {again}")
        pipeline.run(ws, NOW)
        assert (kind in kinds_of(ws, before)) == again


@pytest.mark.parametrize(("section", "part"), [("live", "overlay"), ("ranker", "ranker")])
def test_a_run_leaves_out_what_is_not_to_be_used_any_more(
    served: Workspace, tmp_path: Path, section: str, part: str
) -> None:
    text = (served.root / "freshet.toml").read_text()
    ws = copied(
        served, tmp_path / "ws", text.replace(f"[{section}]\nuse = true", f"[{section}]\nuse = false")
    )
    pipeline.run(ws, NOW)
    release = ws.releases.current()
    assert release is not None
    assert release.number == 3
    assert getattr(release, part) == ""


@pytest.fixture(scope="module")
def served(world: Path, counted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A release of now with one of everything that may serve."""
    extra = "[live]\nuse = true\n[ranker]\nuse = true\nmax_steps = 1\n[feedback]\nuse = true\n[table]\n"
    ws = copied(counted, tmp_path_factory.mktemp("served") / "ws", settings(world, extra=extra))
    pipeline.run(ws, NOW)
    return ws
