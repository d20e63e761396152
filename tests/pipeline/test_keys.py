"""Every setting is in the key of every artifact that it decides, and in no other.

Each key of `freshet.toml` is changed in turn in a copy of one workspace, which is then refreshed as of the
same moment: what is made anew is compared with what the table below expects.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from freshet import operations, pipeline
from freshet.core.config import Config
from freshet.core.errors import GateFailed
from freshet.core.types import AsOf
from freshet.simulator import World, generate
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace
from tests.backends.encoders.checkpoint import make
from tests.pipeline.world import NOW

MOMENT = AsOf.parse("2024-02-08")
WORLD = World(themes=6, items=48, users=110, days=44, change_day=30, sessions=7)
BASE: dict[str, dict[str, Any]] = {
    "events": {"positive": "value >= 7"},
    "interests": {"count": 6},
    "content": {"encoder": "wordllama"},
    "counts": {"window_days": 7, "fit_windows": 2},
    "evidence": {"level": "instance"},
    "planner": {"kind": "fake", "template": "knowledge"},
    "gates": {"sample": 30},
    "inference": {"chunk": 8, "calibration_prompts": 100},
    "table": {"max_churn": 1.0},
    "sequence": {"use": True, "max_steps": 1},
    "ranker": {"use": True, "max_steps": 1},
    "feedback": {"use": True},
    "users": {"rows": 20},
}

SERVED = {"tables", "overlays", "user_rows"}
"""An overlay goes with one table, and so do rows of users."""
ASKED = {"gates", *SERVED}
PLANNED = {"models", *ASKED}
RANKED = {"itemmodels", "rankers"}
COUNTED = {"transitions", "screens", "sequences", "rankers", "feedback", *PLANNED}
FORMED = {"interests", "assignments", "content", *COUNTED, *RANKED}
ASSIGNED = FORMED - {"interests", "itemmodels", "sequences"}
"""Another catalogue: its items are assigned anew, what was formed and trained stays until it is due."""
NOTHING: set[str] = set()

MADE: dict[str, tuple[Any, set[str]]] = {
    "events.items": ("", {"items", "texts", *FORMED}),
    "events.encoding": ("cp1251", {"items", "texts", *ASSIGNED}),
    "events.missing": (["nobody"], {"items", "texts", *ASSIGNED}),
    "events.positive": ("value >= 6", FORMED),
    "events.item_columns.item": ("title", {"items", "texts", *FORMED}),
    "events.item_columns.title": ("category", {"items", "texts", *FORMED}),
    "events.item_columns.text": ("title", {"items", "texts", *FORMED}),
    "interests.count": (5, FORMED),
    "interests.taxonomy": ("category", FORMED),
    "interests.co_engagement": (0.4, FORMED),
    "interests.text_vectors": ("encoder", FORMED),
    "interests.formed_on": ("catalogue", FORMED),
    "interests.seed": (1, FORMED),
    "transitions.k": (1, {"feedback", *PLANNED}),
    "transitions.novelty_days": (20, {*COUNTED, "itemmodels"}),
    "transitions.seed": (1, COUNTED),
    "content.use": (False, SERVED),
    "content.encoder": ("tfidf", {"texts", "content", *SERVED}),
    "counts.window_days": (8, {"sequences", "screens", "content", *RANKED, *PLANNED}),
    "counts.fit_windows": (1, {"sequences", "content", *PLANNED}),
    "counts.half_lives": ([5.0, 20.0], {"sequences", *RANKED, *PLANNED}),
    "counts.transition_half_life": (50.0, PLANNED),
    "counts.fit_examples": (150, PLANNED),
    "evidence.level": ("global", PLANNED),
    "evidence.rank_by": ("trend", PLANNED),
    "evidence.window_days": (21, PLANNED),
    "evidence.top": (2, PLANNED),
    "evidence.min_support": (4.0, PLANNED),
    "evidence.user_cap": (1, PLANNED),
    "evidence.hysteresis": (0.4, SERVED),  # examples and held-out prompts follow no earlier prompt
    "planner.kind": ("counts", {"tables", "overlays"}),  # nobody to ask about users
    "planner.mode": ("label", PLANNED),
    "planner.template": ("", PLANNED),
    "planner.titles": (1, PLANNED),
    "planner.shortlist": (3, PLANNED),
    "tuning.examples_per_label": (20, PLANNED),
    "tuning.max_examples": (200, PLANNED),
    "tuning.evidence_share": (0.4, PLANNED),
    "tuning.epochs": (1.0, PLANNED),
    "tuning.learning_rate": (0.01, PLANNED),
    "tuning.batch_size": (32, PLANNED),
    "tuning.lora_rank": (8, PLANNED),
    "tuning.refit": (False, PLANNED),
    "tuning.max_steps": (5, PLANNED),
    "tuning.max_seconds": (1000.0, PLANNED),  # the clock may end a training
    "tuning.seed": (1, PLANNED),
    "gates.exact_match": (0.8, {"gates"}),
    "gates.label_mass": (0.8, {"gates"}),
    "gates.recall": (0.02, {"gates"}),
    "gates.gain_over_counts": ("halt", {"gates"}),
    "gates.sample": (40, {"gates"}),
    "inference.contexts": ("observed", SERVED),
    "inference.beam": (8, ASKED),
    "inference.top": (4, SERVED),
    "inference.calibration_prompts": (110, SERVED),
    "users.rows": (10, {"user_rows"}),
    "users.k": (5, PLANNED),  # the planner learns from as many interests as it is asked with
    "users.titles": (3, {"user_rows"}),
    "users.active_days": (20, {"user_rows"}),
    "table.width": (4, SERVED),
    "table.rows": (20, SERVED),
    "table.blocked": (["0"], SERVED),
    "table.allowed": (["0", "1", "2"], SERVED),
    "table.withdrawn": (["0"], SERVED),
    "table.sensitive": (["0"], SERVED),
    "sequence.use": (False, SERVED),
    "sequence.max_examples": (100, {"sequences", *SERVED}),
    "sequence.max_steps": (2, {"sequences", *SERVED}),
    "sequence.max_seconds": (1000.0, {"sequences", *SERVED}),
    "sequence.seed": (1, {"sequences", *SERVED}),
    "ranker.use": (False, NOTHING),  # the release goes without
    "ranker.max_examples": (100, RANKED),
    "ranker.max_steps": (2, RANKED),
    "ranker.max_seconds": (1000.0, RANKED),
    "ranker.seed": (1, RANKED),
    "schedule.refresh_days": (5, PLANNED),  # a sequence model stays until it is due
    "live.use": (False, NOTHING),  # the release goes without
    "live.half_lives": ([2.0], {"overlays"}),
    "live.user_cap": (10, {"overlays"}),
    "live.most_lift": (5.0, {"overlays"}),
    "live.burst_hours": (2.0, {"overlays"}),
    "screen.use": (False, SERVED),
    "screen.age_days": (8, {"screens", *SERVED}),
    "screen.active_days": (1, {"screens", *SERVED}),
    "screen.most_growth": (4.0, {"screens", *SERVED}),
    "screen.chance": (4.0, {"screens", *SERVED}),
    "screen.few": (3, {"screens", *SERVED}),
    "screen.trusted": (["0"], {"screens", *SERVED}),
    "screen.live_weight": (0.5, {"overlays"}),
    "feedback.use": (False, NOTHING),  # the release goes without
    "feedback.proposals": (4, {"feedback"}),
    "feedback.days": (14, {"feedback"}),
    "feedback.hours": (3.0, {"feedback"}),
    "experiments.satisfied": ("value >= 8", {"feedback"}),
}
"""By key another value, and the kinds of artifacts that are made anew for it."""

AT_IMPORT = "decides which rows an import adds: the log's own version says what became of it"
WHEN = "decides when something is made, not what"
COST = "decides what making it takes or costs, not what is made"
SERVING = "is read when requests are answered"
RECIPE = "is in the recipe of the tuner that reads it, whose other models stay as they are"
ENCODER = "is in the version of the encoders that read it"
SERVER = "is in the recipe of the models behind a server, which alone read it"
GIVEN = "decides who is given a release that is made"
JUDGING = "is read when experiments are judged, from the events"
TOLD = "decides who is told of a run, not what it makes"
WATCHED = "decides what is promised and who is told, not what is made"
KEPT = "decides where copies lie, not what is made"
TRIED = "decides who is served a release first, not what is in it"
OUTSIDE: dict[str, tuple[Any, str]] = {
    "executor": ("ray", "decides where something is computed, not what comes out"),
    "privacy.hash_users": (False, "refused for a log that holds ids as they came"),
    "privacy.key_env": ("SECRET", "read where users are hashed"),
    **{
        f"retention.{name}_days": (1000, "decides what is kept of the past, when it is applied")
        for name in ("events", "impressions", "quarantine", "runs", "receipts")
    },
    "ray.address": ("127.0.0.1:1", COST),
    "ray.workers": (2, COST),
    "ray.resources": ({"tuning": {"cpus": 2.0}}, COST),
    "ray.retries": (1, COST),
    "ray.wait_seconds": (1.0, COST),
    "ray.runtime_env": ({"env_vars": {"A": "b"}}, COST),
    "events.files": (["elsewhere.parquet"], AT_IMPORT),
    "events.timezone": ("Asia/Tokyo", AT_IMPORT),
    "events.layout": ("none", AT_IMPORT),
    "events.time_format": ("iso", AT_IMPORT),
    **{f"events.columns.{name}": ("other", AT_IMPORT) for name in ("user", "item", "time", "value", "id")},
    "content.model": ("some-model", ENCODER),
    "content.endpoint": ("http://localhost:1/v1", ENCODER),
    "content.api_key_env": ("OTHER_KEY", COST),
    "content.batch_size": (8, COST),
    "content.timeout_seconds": (1.0, COST),
    "planner.model": ("elsewhere", "a checkpoint is known by its bytes, wherever it lies (recipe)"),
    "planner.device": ("cpu", COST),
    "planner.endpoint": ("http://localhost:1/v1", SERVER),
    "planner.api_key_env": ("OTHER_KEY", COST),
    "planner.answers": ("list", SERVER),
    "planner.concurrency": (2, COST),
    "planner.timeout_seconds": (1.0, COST),
    "planner.tries": (1, "decides how many rows stay with counts, which are asked again anyway"),
    "planner.max_tokens_per_run": (10, COST),
    "planner.max_money_per_run": (10.0, COST),
    "planner.request": ({"seed": 1}, SERVER),
    "planner.tokenizer": ("elsewhere", "the checkpoint of a server is known by its bytes (recipe)"),
    "planner.engine": ("vllm", "is in the version of the planner that it runs"),
    "planner.batch": ("gemini", SERVER),
    "planner.use": ("table", '"prior" needs a planner that is not trained here: `test_prior` changes it'),
    "planner.chat": (False, RECIPE),
    "tuning.precision": ("bf16", RECIPE),
    "tuning.gradient_checkpointing": (True, COST),
    "tuning.micro_batch": (1, COST),
    "tuning.every_days": (60, WHEN),
    "tuning.hosted": (True, SERVER),
    "inference.chunk": (16, COST),
    "screen.gate": ("report", "decides whether a person looks first"),
    "table.max_churn": (0.9, "decides whether a person looks first"),
    "schedule.policy": ("cost", WHEN),
    "schedule.drift_alpha": (0.01, WHEN),
    "schedule.value_per_hit": (0.1, WHEN),
    **{
        f"stream.{name}": (value, AT_IMPORT)
        for name, value in {
            "kind": "redis",
            "servers": "redis://localhost:1/0",
            "topic": "events",
            "group": "other",
            "field": "json",
            "batch_rows": 10,
            "batch_seconds": 1.0,
            "message_bytes": 1000,
            "gaps": "continue",
            "keep_hours": 1.0,
            "live": True,
            "options": {"socket_timeout": 1},
            "options_env": {"password": "REDIS_PASSWORD"},
        }.items()
    },
    "serving.state": ("redis://localhost:1/0", SERVING),
    "serving.state_gb": (1.0, SERVING),
    "serving.explore": (0.2, SERVING),
    "serving.temperature": (0.7, SERVING),
    "serving.diversity": (0.1, SERVING),
    "serving.seed": (1, SERVING),
    "serving.blocked_items": (["i1"], SERVING),
    "serving.rules": ([{"attribute": "region", "values": ["x"], "blocked": ["0"]}], SERVING),
    "http.body_bytes": (2048, SERVING),
    "http.batch": (10, SERVING),
    "http.events": (10, SERVING),
    "http.waiting": (10, SERVING),
    "http.seconds": (1.0, SERVING),
    "http.connections": (10, SERVING),
    "http.drain_seconds": (1.0, SERVING),
    "http.log_requests": (False, SERVING),
    "http.open_connections": (100, SERVING),
    "http.idle_seconds": (10.0, SERVING),
    "http.header_bytes": (2048, SERVING),
    "http.headers": (20, SERVING),
    "http.hosts": (["rec.internal"], SERVING),
    "http.origins": (["https://shop.example"], SERVING),
    "http.oldest_event_days": (3.0, SERVING),
    "experiments.dissatisfied": ("value < 3", JUDGING),
    "experiments.negative": ("value < 2", JUDGING),
    "experiments.smallest_effect": (0.1, JUDGING),
    "experiments.attribution_hours": (24.0, JUDGING),
    "experiments.metrics": ([{"name": "mine", "counts": "value >= 9"}], JUDGING),
    "experiments.guardrails": ([{"metric": "satisfaction"}], JUDGING),
    "canary.share": (0.1, TRIED),
    "canary.days": (2.0, TRIED),
    "canary.metrics": (["satisfaction"], TRIED),
    "canary.margin": (0.1, TRIED),
    "canary.alpha": (0.1, TRIED),
    "canary.smallest_harm": (0.2, TRIED),
    "export.to": (["given"], GIVEN),
    "export.keep_seconds": (5, GIVEN),
    "export.webhook": ("http://127.0.0.1:1/other", GIVEN),
    "export.webhook_secret_env": ("OTHER_SECRET", GIVEN),
    "export.timeout_seconds": (1.0, GIVEN),
    **{f"backup.{name}": (value, KEPT) for name, value in (("to", "safe"), ("keys", "keys"), ("keep", 3))},
    "tracking.mlflow": ("http://127.0.0.1:1", TOLD),
    "tracking.experiment": ("other", TOLD),
    "tracking.openlineage": ("events.jsonl", TOLD),
    "tracking.namespace": ("other", TOLD),
    "tracking.timeout_seconds": (1.0, TOLD),
    "alerts.evidence_days": (5.0, WATCHED),
    "alerts.model_days": (5.0, WATCHED),
    "alerts.events_days": (5.0, WATCHED),
    "alerts.live_hours": (5.0, WATCHED),
    "alerts.stream_minutes": (5.0, WATCHED),
    "alerts.stream_lag": (5.0, WATCHED),
    "alerts.loss_per_1000": (5.0, WATCHED),
    "alerts.review_days": (5.0, WATCHED),
    "alerts.every_minutes": (9.0, WATCHED),
    "alerts.repeat_hours": (9.0, WATCHED),
    "dashboard.use": (False, SERVING),
    "dashboard.secret_env": ("SESSIONS", SERVING),
    "alerts.alertmanager": ("http://127.0.0.1:1", WATCHED),
    "alerts.webhook": ("http://127.0.0.1:1", WATCHED),
    "alerts.webhook_secret_env": ("OTHER_KEY", WATCHED),
    "alerts.email_to": (["ops@example.org"], WATCHED),
    "alerts.email_from": ("freshet@example.org", WATCHED),
    "alerts.smtp": ("127.0.0.1:1", WATCHED),
    "alerts.smtp_security": ("none", WATCHED),
    "alerts.smtp_user": ("freshet", WATCHED),
    "alerts.smtp_password_env": ("OTHER_KEY", WATCHED),
    "alerts.timeout_seconds": (1.0, WATCHED),
    "telemetry.endpoint": ("", TOLD),
    "telemetry.requests": (0.5, TOLD),
    "telemetry.timeout_seconds": (1.0, TOLD),
    "alerts.link": ("http://127.0.0.1:1", WATCHED),
    "schedule.refresh_cron": ("0 5 * * *", WHEN),
    "schedule.tune_cron": ("0 1 1 * *", WHEN),
    "schedule.collect_cron": ("0 * * * *", WHEN),
    "schedule.timezone": ("Europe/Berlin", WHEN),
    "schedule.missed": ("skip", WHEN),
    "schedule.blackout": (["Mon-Fri 08:00-10:00"], WHEN),
    "schedule.budget_per_month": (1.0, WHEN),
    "schedule.retries": (1, WHEN),
    "schedule.retry_minutes": (1.0, WHEN),
    "schedule.gc_days": (7, WHEN),
    "schedule.nice": (0, WHEN),
    "prices.currency": ("EUR", COST),
    "prices.per_hour": (1.0, COST),
    "prices.per_million_tokens": (1.0, COST),
    "prices.per_million_tokens_written": (1.0, COST),
    "prices.per_million_tokens_trained": (1.0, COST),
}
"""By key another value, and why no key of an artifact holds it."""


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of the configuration, with its sections; lists of tables count as one."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys_of(inner, f"{prefix}{name}.")
        else:
            yield prefix + name


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(inner) for inner in value) + "]"
    return json.dumps(value)


def text(changes: dict[str, Any]) -> str:
    """The settings of the base with some changed."""
    flat = {f"{section}.{name}": value for section, own in BASE.items() for name, value in own.items()}
    lines = [f"{key} = {toml(value)}" for key, value in (flat | changes).items()]
    return "\n".join(lines) + "\n"


def refresh(ws: Workspace) -> Release:
    """Make all there is to make as of the moment; a person accepts what gates halt."""
    while True:
        try:
            if ws.tuner is not None:
                pipeline.finetune(ws, MOMENT)
            pipeline.refresh(ws, MOMENT, publish=True)
        except GateFailed:
            operations.approve(ws, ws.ledger.records()[-1].id, "test")
        else:
            found = ws.releases.current()
            assert found is not None
            return found


def versions(ws: Workspace) -> set[tuple[str, str]]:
    """(kind, version) of all artifacts."""
    return {(path.parent.parent.name, path.parent.name) for path in sorted(ws.root.glob("*/*/manifest.json"))}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with one of everything; copy it before changing it."""
    root = tmp_path_factory.mktemp("keys")
    generate(WORLD, root)
    sources = {"files": [str(root / "events.parquet")], "items": str(root / "items.parquet")}
    BASE["events"] |= sources
    (root / "freshet.toml").write_text(text({}))
    ws = open_workspace(root)
    operations.import_log(ws, NOW)
    release = refresh(ws)
    assert release.model
    assert release.overlay
    assert release.ranker
    assert release.feedback
    assert release.users
    return ws


def changed(base: Workspace, root: Path, changes: dict[str, Any]) -> Workspace:
    """A copy of the workspace with other settings."""
    shutil.copytree(base.root, root)
    (root / "freshet.toml").write_text(text(changes))
    return open_workspace(root)


def test_every_key_of_the_configuration_is_listed() -> None:
    listed = [*MADE, *OUTSIDE]
    assert sorted(listed) == sorted(keys_of(Config))
    assert len(listed) == len(set(listed))


def test_the_same_settings_make_nothing_anew(base: Workspace, tmp_path: Path) -> None:
    ws = changed(base, tmp_path / "ws", {})
    refresh(ws)
    assert versions(ws) == versions(base)


@pytest.mark.parametrize("key", MADE)
def test_a_setting_makes_anew_what_depends_on_it_and_nothing_else(
    base: Workspace, tmp_path: Path, key: str
) -> None:
    value, expected = MADE[key]
    ws = changed(base, tmp_path / "ws", {key: value})
    assert ws.config != base.config
    release = refresh(ws)
    assert {kind for kind, _ in versions(ws) - versions(base)} == expected
    for part in ("live", "ranker", "feedback"):
        if key == f"{part}.use":
            assert getattr(release, {"live": "overlay"}.get(part, part)) == ""


def test_interests_formed_by_an_encoder_follow_its_version(base: Workspace, tmp_path: Path) -> None:
    by = {"interests.text_vectors": "encoder"}
    first = changed(base, tmp_path / "first", by)
    refresh(first)
    again = changed(first, tmp_path / "again", {**by, "content.batch_size": 8})
    refresh(again)
    assert versions(again) == versions(first)
    model = make(tmp_path / "model")
    other = changed(
        first, tmp_path / "other", {**by, "content.encoder": "transformers", "content.model": str(model)}
    )
    refresh(other)
    assert {kind for kind, _ in versions(other) - versions(first)} == {*FORMED, "texts", "content"}


def test_settings_that_are_outside_of_all_keys_make_nothing_anew(base: Workspace, tmp_path: Path) -> None:
    ws = changed(base, tmp_path / "ws", {key: value for key, (value, _) in OUTSIDE.items()})
    refresh(ws)
    assert versions(ws) == versions(base)
