"""Every benchmark runs, with `--quick`, and gives the figures that its documents speak of."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SERVERS = {"simulated_chat"}
"""They run until they are ended; the tests of planners and other benchmarks start them."""

RUNNABLE = sorted(
    path.stem
    for path in FOLDER.glob("*.py")
    if "__main__" in path.read_text(encoding="utf-8") and path.stem not in SERVERS
)
"""A file without a `__main__` block is something that others import."""

KEYS = {
    "backups": {"ratio", "rows_per_second_sealed", "rows_per_second_opened", "keys_found_seconds"},
    "beside": {"note", "load", "sizes", "alone", "refresh", "schedule", "ratio_p99", "requests", "failed", "late_ms"},
    "bulk_inference": {"ratio", "ratio_with_evidence", "share_of_forward_limit", "top1_agreement", "by_prompts", "contexts_per_s_label", "share_of_forward_limit_label", "by_shape"},
    "bucket": {"note", "load", "local_s", "bucket_s", "ratio", "noop_ratio", "requests", "push_mb_s", "fetch_mb_s"},
    "busy_chaos": {"kills", "lost", "twice", "corrupt", "found_again", "unanswered", "wedged", "wrong", "answered"},
    "cluster": {"simulated", "count", "inference", "planned"},
    "canary": {"note", "margin", "alpha", "canaries"},
    "cadence": {"note", "cost_in_hits", "worlds"},
    "chaos": {"kills", "lost", "corrupt", "leftover", "unreadable", "stages"},
    "poisoning": {"log", "real", "refresh", "live"},
    "choosing": {"transitions", "users", "policies"},
    "closed_loop": {"note", "seeds", "users", "transitions"},
    "closed_loop_image": {"arm", "image", "characters"},
    "dashboard": {"note", "load", "runs", "interests", "n", "pages", "aims_missed", "api"},
    "encoders": {"items", "interests", "version", "encoder", "tfidf", "encoder_minus_tfidf"},
    "content": {"simulated", "judged", "shares", "content_minus_counts", "by_support", "weights", "first_choice"},
    "endpoint": {"simulated", "speed", "server", "faults"},
    "evidence": {"default", "top 5", "trend", "global", "no hysteresis"},
    "explore": {"explore_us", "explore_us_p99", "interests_us", "parts_us", "scorer_us", "ratio_vs_scorer", "log_limit_us"},
    "dashboard_images": {"images", "note"},
    "exploring_images": {"images", "note"},
    "exploring": {"note", "load", "interests", "n", "pages", "aims_missed", "search"},
    "export": {"simulated", "load", "sizes", "redis_layouts", "parquet_list_bytes"},
    "exposures": {"simulated", "rows", "users", "analysis", "reading", "ratio"},
    "first_release": {"note", "load", "first_release_s", "full_s", "peak_rss_gb", "outcome", "releases", "steps"},
    "fuzz": {"seed", "load", "files", "configs", "artifacts", "requests", "pages"},
    "gates": {"sample", "users", "recall", "planners"},
    "hostile": {"collect", "headers", "idle", "keys", "network", "damage", "escapes", "paths", "host", "numbers", "old", "umask", "ok"},
    "identity": {"shop", "answers", "differences"},
    "items": {"transitions", "users", "within", "end_to_end", "hybrid_ranker_minus"},
    "forgetting": {"simulated", "load", "forget_seconds", "erase_seconds", "search_mb_s", "hashed"},
    "learning": {"note", "load", "cores", "sequence", "ranker", "planner", "trainings"},
    "lake": {"simulated", "parquet", "bad", "text"},
    "one_line": {"n", "users", "counts", "popularity"},
    "open_bandit": {"known", "campaigns", "tests", "resamples"},
    "parity": {"server", "version", "description", "label"},
    "prior": {"simulated", "period", "interests", "shares"},
    "refresh": {"simulated", "noop_rows", "noop_seconds", "noop_same_seconds", "cost_share", "cost_seconds_share", "cost_process_share", "changed_share_mean", "without_hysteresis"},
    "replay_images": {"images", "tables"},
    "report_images": {"images"},
    "serving": {"rps", "constant_rps", "bare_rps", "ratio_vs_constant", "cpu_us", "p99_ms_half_load", "events_per_s", "failed", "swaps"},
    "serving_chaos": {"kills", "collect_kills", "acknowledged", "resent", "lost", "twice", "log_lost", "log_twice", "forgotten", "restart_s"},
    "startup": {"simulated", "load", "rounds", "runs", "limits", "commands"},
    "state": {"state_bytes_per_user", "file_bytes_per_user", "load_users_per_s", "events_per_s", "ratio_vs_raw", "fsync_ms", "redis"},
    "experiment_statistics": {"simulated", "aa_sequential_false_positive", "power_at_mde", "coverage", "cuped_ratio", "rare", "off_policy"},
    "tuning": {"simulated", "threads", "trainings", "told_ratio", "resume"},
    "streams": {"kind", "load", "kills", "read", "lost", "twice", "quarantine_lost", "quarantine_twice", "ratio"},
    "gpu": {"simulated", "device", "peak_tflops", "engine", "generate_batch", "tuning"},
    "rows": {"transitions", "users", "rows"},
    "scheduled_year": {"note", "days", "cost_in_hits", "policies"},
    "scale": {"computed", "tables"},
    "wide": {"simulated", "wide", "small", "look_up"},
    "tracing": {"cpu_us", "ratio", "failed", "collected_mb", "rounds", "load"},
    "workers": {"rps", "ratio", "ratio_range", "first_start_ms", "first_swap_ms", "first_swap_worst_ms", "later_ms", "failed", "requests"},
    "watching": {"measured_s", "look_ms", "command_cpu_s", "events", "transitions", "runs", "rounds", "load"},
    "transitions": {"simulated", "events_per_s", "peak_rss_gb", "one_day_share", "read_only_events_per_s", "ratio_to_plain_sql"},
}  # fmt: skip
"""What is documented of each; a new benchmark says here what it gives."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first benchmark that needs a workspace makes one, for those after it."""
    return tmp_path_factory.mktemp("quick") / "shop"


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNNABLE)
def test_it_runs_and_gives_what_is_documented(name: str, shop: Path, tmp_path: Path) -> None:
    path = FOLDER / f"{name}.py"
    asked = re.findall(r'add_argument\("--(workspace|work|scratch)"', path.read_text(encoding="utf-8"))
    places = {"workspace": shop, "work": tmp_path, "scratch": tmp_path}
    if name == "bulk_inference":
        asked = []  # its workspace needs a model that writes descriptions
    options = [part for one in asked for part in (f"--{one}", str(places[one]))]
    done = subprocess.run(
        [sys.executable, str(path), "--quick", "--json", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert name in KEYS, "add what it gives to KEYS"
    assert {*found} >= KEYS[name]
    if name in CHECKS:
        CHECKS[name](found, shop, tmp_path)


def _hostile(found: dict[str, Any], shop: Path, work: Path) -> None:
    """No attack gets through."""
    assert [name for name, one in found.items() if name != "ok" and not one["ok"]] == []
    assert found["ok"]


def _fuzz(found: dict[str, Any], shop: Path, work: Path) -> None:
    """Nothing breaks, and the cases are not all refused."""
    sizes = {"files": 60, "configs": 150, "artifacts": 40, "requests": 210, "pages": 90}
    assert {name: found[name]["n"] for name in sizes} == sizes
    assert {name: found[name]["failures"] for name in sizes if found[name]["failures"]} == {}
    assert any("imported" in outcome for outcome in found["files"]["outcomes"])
    assert found["configs"]["outcomes"]["values: accepted"] > 5
    assert sum(one for name, one in found["artifacts"]["outcomes"].items() if "answered" in name) > 10
    assert found["requests"]["statuses"]["200"] > 10
    assert found["pages"]["statuses"]["200"] > 5


def _chaos(found: dict[str, Any], shop: Path, work: Path) -> None:
    """Killed at any point and run again, it is as if undisturbed: every stage, moments and operations."""
    assert found["kills"] == 6
    assert (found["lost"], found["corrupt"], found["unreadable"]) == (0, 0, 0)
    assert all(stage["kills"] and stage["opened"] for stage in found["stages"].values()), found["stages"]


def _busy_chaos(found: dict[str, Any], shop: Path, work: Path) -> None:
    """Whatever is killed of a busy workspace, what was acknowledged stays, and people get their answers."""
    bad = ("lost", "twice", "corrupt", "found_again", "unanswered", "wedged", "wrong")
    assert {name: found[name] for name in bad} == dict.fromkeys(bad, 0), found["examples"]
    assert found["kills"] >= 5
    assert found["looks"] >= 1
    assert found["restored"] >= 1
    assert found["acknowledged"] > 100
    assert found["answered"] > 20


def _serving_chaos(found: dict[str, Any], shop: Path, work: Path) -> None:
    """A server killed in the middle of events loses none and counts none twice."""
    assert found["kills"] == 2
    assert found["acknowledged"] > 100
    assert [found[one] for one in ("lost", "twice", "log_lost", "log_twice", "forgotten")] == [0] * 5


def _identity(found: dict[str, Any], shop: Path, work: Path) -> None:
    """Twice the same version makes the same, and little of it is left out."""
    assert found["differences"] == {}
    assert found["shop"]["kinds"][".npy"]["files"] > 20
    assert found["shop"]["kinds"][".json"]["ignored"] < 0.02 * found["shop"]["kinds"][".json"]["bytes"]
    assert found["answers"]["files"] > 100
    assert found["answers"]["ignored_share"] < 0.02


def _gates(found: dict[str, Any], shop: Path, work: Path) -> None:
    """Planners that know nothing fail."""
    assert found["sample"] > 0
    assert len(found["planners"]) == 6
    for name, gates in found["planners"].items():
        assert not gates["gain_over_popularity"]["passed"], name
        assert not gates["gain_over_counts"]["passed"], name


def _experiment_statistics(found: dict[str, Any], shop: Path, work: Path) -> None:
    for asked in ("aa_sequential_false_positive", "aa_guardrail_false_positive"):
        for split in ("50/50", "80/20", "90/10", "95/5", "99/1"):
            assert f"{asked}.{split}.sigma2-mean-4000" in found
            assert f"{asked}.{split}.sigma1-ratio-4000" in found
    assert "power.50/50.sigma1-mean-4000.any.before" in found


def _serving(found: dict[str, Any], shop: Path, work: Path) -> None:
    """No request is failed, no answer is of two releases."""
    assert found["failed"] == 0
    assert (found["swaps"]["failed"], found["swaps"]["mixed"]) == (0, 0)
    assert found["swaps"]["swaps"] == 2


def _workers(found: dict[str, Any], shop: Path, work: Path) -> None:
    """Every request has its answer."""
    assert found["failed"] == 0
    assert found["requests"] >= 300


def _images(found: dict[str, Any], shop: Path, work: Path) -> None:
    assert len(found["images"]) >= 4
    for path in found["images"]:
        assert Path(path).read_text(encoding="utf-8").startswith("<svg")


def _closed_loop(found: dict[str, Any], shop: Path, work: Path) -> None:
    """Worlds that are there are not run again."""
    assert found["note"].startswith("SIMULATED")
    assert found == json.loads((work / "summary.json").read_text())
    saved = work / "transitions-1.json"
    written = saved.stat().st_mtime_ns
    assert not (work / "transitions-1").exists()  # its workspace
    again = [sys.executable, str(FOLDER / "closed_loop.py"), "--quick", "--work", str(work)]
    second = subprocess.run(again, capture_output=True, text=True, check=True, timeout=600)
    assert saved.stat().st_mtime_ns == written
    assert (work / "tables.md").read_text() == second.stdout
    for said in ("SIMULATED", "`popularity`", "oracle: the truth of today", "peak memory"):
        assert said in second.stdout
    other = [*again, "--arms", "static,counts,popularity"]
    third = subprocess.run(other, capture_output=True, text=True, check=False, timeout=600)
    assert third.returncode == 1
    assert "holds another experiment" in third.stderr


def _one_line(found: dict[str, Any], shop: Path, work: Path) -> None:
    """The arm that it repeats is that of the replay."""
    [replay] = shop.glob("replay/*/replay.json")
    arms = json.loads(replay.read_text(encoding="utf-8"))["arms"]
    assert found["counts"] == pytest.approx(100 * arms["counts"]["hit_at_5"]["value"])
    assert {*found["popularity"]} == {"7", "28"}
    for one in found["popularity"].values():
        value, low, high = one["points"]
        assert value == pytest.approx(one["hit_at_5"] - found["counts"])
        assert low <= value <= high


def _content(found: dict[str, Any], shop: Path, work: Path) -> None:
    """Differences are those of the arms, groups are all transitions, and what is said is of the largest share."""
    assert found["simulated"]
    assert [*found["shares"]] == ["30", "100"]
    assert found["shares"]["30"]["learned"]["users"] < found["shares"]["100"]["learned"]["users"]
    for one in found["shares"].values():
        assert one["judged"] == found["judged"]  # the same people at every size
        for a, b in (
            ("content", "counts"),
            ("content_sequence", "counts_sequence"),
            ("hybrid", "content_sequence"),
        ):
            for figure in ("hit_at_5", "nll"):
                value = one[f"{a}_minus_{b}"][figure]["value"]
                assert value == pytest.approx(one[a][figure]["value"] - one[b][figure]["value"])
        assert 0 < one["planner"]["n"] <= one["judged"]["n"]
        for group in ("by_support", "by_item_age", "by_user_age"):
            assert sum(line["n"] for line in one[group].values()) == one["judged"]["n"]
            total = sum(
                line["n"] * line["content_minus_counts"]["nll"]["value"] for line in one[group].values()
            )
            assert total == pytest.approx(one["judged"]["n"] * one["content_minus_counts"]["nll"]["value"])
        for choice in one["first_choice"].values():
            assert choice["changed"]["value"] == pytest.approx(choice["n_changed"] / one["judged"]["n"])
    assert found["content_minus_counts"] == found["shares"]["100"]["content_minus_counts"]
    for weight in found["weights"]["fitted"].values():
        assert weight["low"] <= weight["weight"] <= weight["high"]


def _endpoint(found: dict[str, Any], shop: Path, work: Path) -> None:
    """Whatever goes wrong, nothing is paid twice, nothing invented, and each prompt is accounted for."""
    assert found["simulated"]
    assert len(found["faults"]) == 8
    for name, one in found["faults"].items():
        assert (one["asked_twice"], one["invented"]) == (0, 0), name
        assert one["answered"] + one["failed"] + one["not_asked"] == one["prompts"], name
        assert one["answered_after"] >= one["answered"], name
    assert found["faults"]["dies"]["not_asked"] > 0
    assert found["faults"]["429 with Retry-After"]["answered"] > 50


def _tuning(found: dict[str, Any], shop: Path, work: Path) -> None:
    """A killed training ends with the files of one left alone."""
    assert [(one["killed_after"], one["equal"]) for one in found["resume"]] == [(2, True)]
    assert all(one["told_mb"] > 0 and one["tokens_per_s"] > 0 for one in found["trainings"])


CHECKS: dict[str, Callable[[dict[str, Any], Path, Path], None]] = {
    "endpoint": _endpoint,
    "busy_chaos": _busy_chaos,
    "chaos": _chaos,
    "content": _content,
    "fuzz": _fuzz,
    "hostile": _hostile,
    "identity": _identity,
    "closed_loop": _closed_loop,
    "one_line": _one_line,
    "serving_chaos": _serving_chaos,
    "gates": _gates,
    "experiment_statistics": _experiment_statistics,
    "serving": _serving,
    "replay_images": _images,
    "report_images": _images,
    "tuning": _tuning,
    "workers": _workers,
}


def test_what_is_not_run_is_imported_by_what_is() -> None:
    texts = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py")}
    for helper in texts.keys() - {*RUNNABLE}:
        # what runs in a server's own environment is imported by a command line
        used = rf"^ *(?:import|from) {helper}\b|\"import {helper};"
        assert re.search(used, "\n".join(texts.values()), re.M), helper


def test_none_hides_a_module_of_pythons_from_scripts_beside_it() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")}.isdisjoint(sys.stdlib_module_names)


def test_without_quick_what_is_missing_is_named() -> None:
    done = subprocess.run(
        [sys.executable, str(FOLDER / "choosing.py")],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 2
    assert "--quick" in done.stderr
