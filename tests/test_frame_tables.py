"""What a workspace holds, as Arrow tables: what other commands say, with types, zones and nulls."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import freshet
from freshet.core.errors import ArtifactError, ConfigError, NotEnoughData
from freshet.frame_tables import Tables
from freshet.inspect import listing, open_release
from freshet.storage.workspace import Workspace
from tests.pipeline.world import FIRST, copied
from tests.serving.world import published

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(counted: Workspace, tmp_path: Path) -> Workspace:
    ws = copied(counted, tmp_path / "shop")
    published(ws, FIRST)
    return ws


@pytest.fixture
def tables(shop: Workspace) -> Tables:
    return freshet.tables(str(shop.root))


def test_the_log_comes_out_as_it_went_in(tables: Tables, shop: Workspace, tmp_path: Path) -> None:
    found = tables.events()
    assert found.schema.field("time").type == pa.timestamp("us", "UTC")
    days = pc.unique(found["time"].cast(pa.date32())).to_pylist()
    one = tables.events(days[3], days[5])
    assert {*pc.unique(one["time"].cast(pa.date32())).to_pylist()} == {*days[3:5]}
    frame = found.to_pandas()
    assert str(frame["time"].dt.tz) == "UTC"
    assert pl.from_arrow(found).height == len(frame) == found.num_rows
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "freshet.toml").write_text(
        f'[events]\npositive = "{shop.config.events.positive}"\n'
        '[events.columns]\nuser = "user"\nitem = "item"\ntime = "time"\nid = ""\n'
    )
    report = freshet.import_events(tmp_path / "again", frame)
    assert (report.added, report.quarantined) == (found.num_rows, {})
    with pytest.raises(NotEnoughData):
        tables.events(date(1999, 1, 1), date(1999, 2, 1))


def test_interests_are_those_of_the_listing(tables: Tables, shop: Workspace) -> None:
    found = tables.interests().to_pylist()
    listed = listing(shop, open_release(shop).release.interests).interests
    assert {(row["interest"], row["description"], row["items"]) for row in found} == {
        (one.id, one.description, one.items) for one in listed
    }
    assert {*tables.items()["interest"].to_pylist()} <= {row["interest"] for row in found}


def test_successors_are_those_that_serve(tables: Tables, shop: Workspace) -> None:
    found, opened = tables.successors(), open_release(shop)
    assert found["planner"].null_count == found.num_rows  # counts alone
    ids = opened.interests.ids
    for context in ((), (0,), (1, 0)):
        row = opened.table.look_up(context)
        named = [int(ids[index]) for index in context]
        own = found.filter(pa.array([one == named for one in found["context"].to_pylist()]))
        assert own["interest"].to_pylist() == ids[row.successors].tolist()
        assert own["rank"].to_pylist() == list(range(len(own)))
        assert own["score"].to_numpy() == pytest.approx(row.fused)
    with pytest.raises(ArtifactError, match="no release 99"):
        tables.successors(99)


def test_transitions_are_of_the_days_asked_for(tables: Tables) -> None:
    found = tables.transitions(date(2024, 1, 20), date(2024, 1, 25))
    days = found["time"].cast(pa.date32())
    assert (str(pc.min(days)), str(pc.max(days))) >= ("2024-01-20", "2024-01-20")
    assert pc.max(days).as_py() < date(2024, 1, 25)
    known = {*tables.interests()["interest"].to_pylist()}
    assert {*found["successor"].to_pylist()} <= known
    assert all({*recent} <= known and len(recent) <= 10 for recent in found["recent"].to_pylist())


def test_impressions_of_a_workspace_that_never_served_are_none(tables: Tables) -> None:
    found = tables.impressions()
    assert found.num_rows == 0
    assert found.schema.field("time").type == pa.timestamp("us", "UTC")


def test_a_folder_without_settings_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"freshet\.toml"):
        freshet.tables(tmp_path)
