"""What steps read and made, as lineage names it."""

from __future__ import annotations

from dataclasses import replace

from freshet.core.config import Config
from freshet.storage.ledger import StepRecord
from freshet.storage.workspace import Workspace
from freshet.tracking.step_data import inputs_of, outputs_of


def test_sources_are_named_by_their_place(planned: Workspace) -> None:
    sources = ["/data/events.parquet", "s3://user:hunter2@logs/day=1/events.parquet?token=hunter2"]
    step = StepRecord("import", details={"sources": sources, "read": 5, "added": 4})
    file, thing = inputs_of(planned, step)
    assert (file.place, file.name) == ("file", "/data/events.parquet")
    assert (thing.place.rpartition("@")[2], thing.name) == ("logs", "day=1/events.parquet")
    assert "hunter2" not in str(thing)
    assert (file.rows, thing.rows) == (None, None)  # two sources are counted together
    (log,) = outputs_of(step)
    assert (log.name, log.rows) == ("events", 4)


def test_a_stream_is_named_by_its_server_and_topic(planned: Workspace) -> None:
    stream = {"kind": "kafka", "servers": "one:9092,two:9092", "topic": "clicks"}
    ws = replace(planned, config=Config.model_validate({"stream": stream}))
    step = StepRecord("stream", details={"stream": "kafka/clicks", "read": 9, "added": 8})
    (read,) = inputs_of(ws, step)
    assert (read.place, read.name, read.rows) == ("kafka://one:9092", "clicks", 9)
    (log,) = outputs_of(step)
    assert (log.name, log.rows) == ("events", 8)


def test_a_damaged_artifact_has_no_known_inputs(planned: Workspace) -> None:
    assert inputs_of(planned, StepRecord("table", "tables/none")) == ()
    assert inputs_of(planned, StepRecord("evidence")) == ()
