"""`freshet experiment report`: the answer, the document, and the page."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from freshet.experiments.measurement.frozen_rules import rules_of
from freshet.report.formatting import number
from freshet.wiring import open_workspace
from tests.cli.conftest import answered, called
from tests.experiments.exposed import event, import_events, naming, shown, workspace, write_impressions


def simulate(root: Path, lift: float, users: int = 400, days: int = 6, lost: float = 0.0) -> None:
    """A workspace with an experiment that lifts satisfied outcomes, and loses exposures of treatment."""
    ws = workspace(root)
    rng = np.random.default_rng(5)
    impressions, told = [], []
    for n in range(users):
        arm, taste = ("control", "treatment")[n % 2], rng.gamma(3, 1)
        if arm == "treatment" and rng.random() < lost:
            continue
        for day in range(-14, days):
            if rng.random() < 0.5:
                at = day + rng.uniform(0.01, 0.3)
                rate = taste * (1 + lift * (arm == "treatment" and day >= 0))
                if day >= 0:
                    release = 1 if arm == "control" else 2 + (day >= 3)
                    impressions.append(shown(f"u{n}", arm, at, release=release))
                told += [
                    event(f"u{n}", at + k / 1e5, 9.0, "x" if day >= 0 else "", item=f"i{k}")
                    for k in range(rng.poisson(rate))
                ]
    write_impressions(ws.root, impressions)
    import_events(ws, naming(told, impressions))


@pytest.fixture(scope="module")
def lifted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lifted")
    simulate(root, 0.5)
    return root


def test_the_document_tells_effects_arms_and_curves(lifted: Path) -> None:
    found = answered("experiment", "report", "-w", lifted, "try")
    [effect] = found["effects"]
    assert effect["metric"] == "satisfied"
    assert effect["fixed"][0] < 0.5 < effect["fixed"][1]
    assert effect["always"][0] < effect["fixed"][0]
    assert effect["verdict"].startswith("better")
    assert effect["saved"] > 0.2
    assert [look["day"] for look in effect["daily"]] == found["days"]
    control, treatment = found["arms"]
    assert control["refreshed"] == []
    assert treatment["refreshed"] == ["2024-03-04"]
    assert [one["release"] for one in treatment["releases"]] == [2, 3]
    assert control["users"] + treatment["users"] == sum(found["sample_ratio"]["users"])
    assert not found["sample_ratio"]["alarm"]
    assert found["answer"][0].startswith("satisfied: treatment is better")
    page = Path(found["page"]).read_text(encoding="utf-8")
    assert found["page"] == str(lifted / "experiments" / "try" / "report.html")
    assert page.count("<svg") == 2
    assert "refreshed on 2024-03-04" in page


def test_cuped_can_be_left_out_and_metrics_added(lifted: Path, tmp_path: Path) -> None:
    adjusted = answered("experiment", "report", "-w", lifted, "try")["effects"][0]
    more = ("--no-adjust", "--metric", "satisfaction", "--out", tmp_path / "a.html")
    found = answered("experiment", "report", "-w", lifted, "try", *more)
    plain = found["effects"][0]
    width = plain["fixed"][1] - plain["fixed"][0]
    assert plain["saved"] == 0
    assert width > 1.05 * (adjusted["fixed"][1] - adjusted["fixed"][0])
    assert [one["metric"] for one in found["effects"]] == ["satisfied", "satisfaction"]
    assert (tmp_path / "a.html").exists()


def test_figures_add_up_and_resampling_agrees(lifted: Path, tmp_path: Path) -> None:
    found = answered("experiment", "report", "-w", lifted, "try", "--bootstrap", "--out", tmp_path / "a.html")
    [one] = found["effects"]
    control, arm = one["adjusted"]
    assert one["effect"] == pytest.approx(arm / control - 1)
    assert one["effect"] != pytest.approx(one["value"][0] / one["control"][0] - 1)
    told = next(line for line in found["answer"] if "as counted" in line)
    assert f"{number(arm)} against {number(control)} adjusted for what users did before" in told
    assert "By resampling users" in told
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert f'<td class="n">{number(control)}</td><td class="n">{number(arm)}</td>' in page
    plain = answered("experiment", "report", "-w", lifted, "try", "--no-adjust")["effects"][0]
    assert plain["bootstrap"] is None
    assert one["bootstrap"] == pytest.approx(plain["fixed"], abs=0.06)


def test_the_planned_end_is_told_and_judges_only_when_it_is_reached(lifted: Path) -> None:
    found = answered("experiment", "report", "-w", lifted, "try")
    told = found["experiment"]
    assert (told["days"], told["planned_end"]) == (14, "2024-03-15T09:00:00+00:00")
    assert not told["planned_end_reached"]
    assert any("not reached: nothing is judged by one look yet" in line for line in found["answer"])


def test_what_it_is_judged_by_is_that_of_its_start(lifted: Path, tmp_path: Path) -> None:
    root = tmp_path / "ws"
    shutil.copytree(lifted, root)
    started = root / "experiments" / "try" / "started.json"
    said = json.loads(started.read_text(encoding="utf-8"))
    said["judging"] = asdict(rules_of(open_workspace(root).config))
    started.write_text(json.dumps(said), encoding="utf-8")
    before = answered("experiment", "report", "-w", root, "try", "--metric", "satisfaction")
    (root / "freshet.toml").write_text('[events]\npositive = "value >= 10"\n', encoding="utf-8")
    found = answered("experiment", "report", "-w", root, "try", "--metric", "satisfaction")
    assert found["effects"] == before["effects"]
    assert before["experiment"]["settings_changed"] == {}
    assert found["experiment"]["settings_changed"] == {
        "[events] positive": {"start": "value >= 7", "now": "value >= 10"}
    }
    assert any("Settings changed since the start" in line for line in found["answer"])


def test_a_failed_sample_ratio_comes_first(tmp_path: Path) -> None:
    simulate(tmp_path, 0.5, lost=0.4)
    found = answered("experiment", "report", "-w", tmp_path, "try")
    assert found["sample_ratio"]["alarm"]
    assert found["answer"][0].startswith("Do not read these effects")
    assert "not to be believed" in Path(found["page"]).read_text(encoding="utf-8")


def test_too_small_to_tell_says_what_was_detectable(tmp_path: Path) -> None:
    simulate(tmp_path, 0.0, users=60, days=2)
    told = called("experiment", "report", "-w", tmp_path, "try").stdout
    assert "can't be told apart" in told
    answer = answered("experiment", "report", "-w", tmp_path, "try")["answer"]
    assert any("Too small to tell" in line and "was detectable" in line for line in answer)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    workspace(tmp_path)

    def problem(*arguments: object) -> str:
        return str(answered("experiment", "report", "-w", tmp_path, *arguments, code=2)["error"]["message"])

    assert "nobody was exposed" in problem("try")
    assert "no experiment 'other'" in problem("other")
    assert "no metric 'joy'" in problem("try", "--metric", "joy")


def test_power_says_how_long_or_that_traffic_is_too_small(lifted: Path) -> None:
    enough = answered("experiment", "power", "-w", lifted, "--effect", "20%", "--traffic", "5000/day")
    assert enough["days"] is not None
    assert enough["spans"][0]["days"] == 1
    assert [one["detectable"] for one in enough["spans"]] == sorted(
        (one["detectable"] for one in enough["spans"]), reverse=True
    )
    small = answered("experiment", "power", "-w", lifted, "--effect", "0.1%", "--split", "10")
    assert small["days"] is None
    assert "Traffic is too small" in small["answer"][0]
    peeking = answered(
        "experiment", "power", "-w", lifted, "--effect", "20%", "--traffic", "5000", "--peeking"
    )
    assert peeking["spans"][-1]["detectable"] > enough["spans"][-1]["detectable"]
    for wrong in (["--effect", "much"], ["--effect", "0.1%", "--traffic", "some"]):
        assert answered("experiment", "power", "-w", lifted, *wrong, code=2)["error"]["hint"]


def test_check_looks_at_guardrails(tmp_path: Path) -> None:
    simulate(tmp_path, -0.6)
    assert "nothing is guarded" in called("experiment", "check", "-w", tmp_path).stdout
    with (tmp_path / "freshet.toml").open("a") as settings:
        settings.write('[[experiments.guardrails]]\nmetric = "satisfied"\n')
    found = answered("experiment", "check", "-w", tmp_path, "try")
    assert found["guardrails"] == ["satisfied"]
    assert [one["harm"] for one in found["judged"]] == [True]
    assert "try" in found["stopped"]
    assert found["rolled_back"] is None
    assert "was stopped" in answered("experiment", "check", "-w", tmp_path, "try", code=2)["error"]["message"]
    assert "guardrail: treatment" in called("experiment", "list", "-w", tmp_path).stdout


def test_check_tells_a_failed_sample_ratio(tmp_path: Path) -> None:
    simulate(tmp_path, 0.0, lost=0.6)
    with (tmp_path / "freshet.toml").open("a") as settings:
        settings.write('[[experiments.guardrails]]\nmetric = "satisfied"\n')
    told = called("experiment", "check", "-w", tmp_path).stdout
    assert "SAMPLE RATIO FAILED: no effect is believed" in told
    assert "stopped try: sample ratio: users are not split as meant" in told
