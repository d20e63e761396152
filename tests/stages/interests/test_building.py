from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from freshet.core.config import InterestsConfig
from freshet.core.errors import ArtifactError, ConfigError, InputError, NotEnoughData
from freshet.stages.interests import assign, build, load

from .world import TOPICS, World, planted, write_day, write_items


def assignment(path: Path) -> dict[str, int]:
    table = pq.read_table(path / "assignment.parquet").to_pydict()
    return dict(zip(table["item"], table["interest"], strict=True))


def ways(path: Path) -> dict[str, str]:
    table = pq.read_table(path / "assignment.parquet").to_pydict()
    return dict(zip(table["item"], table["how"], strict=True))


def checksums(path: Path) -> dict[str, str]:
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def topics_of(world: World, found: dict[str, int]) -> dict[int, set[int]]:
    """interest -> planted topics of its items"""
    mixed: dict[int, set[int]] = {}
    for item, interest in found.items():
        mixed.setdefault(interest, set()).add(world.topic[item])
    return mixed


@pytest.mark.parametrize(("co_engagement", "text"), [(0.0, True), (0.5, True), (1.0, True), (0.5, False)])
def test_planted_clusters_are_recovered(tmp_path: Path, co_engagement: float, text: bool) -> None:
    world = planted(tmp_path, text=text)
    config = InterestsConfig(count=6, co_engagement=co_engagement)
    build(world.items, world.days, "true", config, None, tmp_path / "out")
    mixed = topics_of(world, assignment(tmp_path / "out"))
    assert sorted(mixed) == list(range(6))
    assert sorted(t for topics in mixed.values() for t in topics) == list(range(6))


def test_interests_are_loaded_as_they_were_written(tmp_path: Path) -> None:
    world = planted(tmp_path)
    summary = build(world.items, world.days, "true", InterestsConfig(count=12), None, tmp_path / "out")
    interests = load(tmp_path / "out")
    assert len(interests) == summary["interests"] == 12
    assert interests.ids.tolist() == list(range(12))
    assert interests.vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(interests.vectors, axis=1), 1, atol=1e-5)
    rows = pq.read_table(tmp_path / "out" / "interests.parquet").to_pydict()
    assert sum(rows["traffic"]) == pytest.approx(1)
    assert sum(rows["items"]) == len(world.topic)
    assert len({tuple(path) for path in rows["path"]}) == 12


def test_a_description_names_the_planted_topic(tmp_path: Path) -> None:
    world = planted(tmp_path)
    build(world.items, world.days, "true", InterestsConfig(count=6), None, tmp_path / "out")
    found, words = assignment(tmp_path / "out"), load(tmp_path / "out").descriptions
    for item, interest in found.items():
        assert TOPICS[world.topic[item]] in words[interest]


def test_quality_beats_chance_and_shows_titles(tmp_path: Path) -> None:
    world = planted(tmp_path)
    build(world.items, world.days, "true", InterestsConfig(count=6), None, tmp_path / "out")
    quality = json.loads((tmp_path / "out" / "quality.json").read_text())
    assert quality["coherence"] > 2 * quality["coherence_by_chance"]
    assert quality["items"] == {"min": 20.0, "median": 20.0, "max": 20.0}
    assert all(len(titles) == 5 for titles in quality["samples"].values())


def test_same_inputs_give_the_same_bytes_in_any_order_of_rows(tmp_path: Path) -> None:
    world = planted(tmp_path)
    build(world.items, world.days, "true", InterestsConfig(count=9), None, tmp_path / "one")
    for path in (*world.days, world.items):
        table = pq.read_table(path)
        pq.write_table(table.take(np.random.default_rng(1).permutation(len(table))), path)
    days = list(reversed(world.days))
    build(world.items, days, "true", InterestsConfig(count=9), None, tmp_path / "two")
    assert checksums(tmp_path / "one") == checksums(tmp_path / "two")


def test_the_positive_rule_decides_what_is_fitted(tmp_path: Path) -> None:
    world = planted(tmp_path)
    bad = write_day(tmp_path / "bad.parquet", [("user0", "5-000")] * 50, 2, value=1.0)
    days = [*world.days, bad]
    summary = build(
        world.items, days, "value > 0 AND item <> '5-000'", InterestsConfig(count=6), None, tmp_path / "out"
    )
    assert summary["fitted_items"] == len(world.topic) - 1
    assert ways(tmp_path / "out")["5-000"] == "text"


def test_ids_survive_a_rebuild_and_new_interests_get_new_ids(tmp_path: Path) -> None:
    before = planted(tmp_path / "before", topics=5)
    build(before.items, before.days, "true", InterestsConfig(count=5), None, tmp_path / "a")
    after = planted(tmp_path / "after", topics=6, users=300, seed=1)
    config = InterestsConfig(count=6)
    summary = build(after.items, after.days, "true", config, tmp_path / "a", tmp_path / "b")
    old, new = load(tmp_path / "a"), load(tmp_path / "b")
    was, now = assignment(tmp_path / "a"), assignment(tmp_path / "b")
    assert all(old.ids[was[item]] == new.ids[now[item]] for item in was)
    assert new.ids[now["5-000"]] == 5
    assert (summary["new_ids"], summary["churn"]) == (1, 0.0)
    # the old interest vanishes, another one appears: the freed id isn't given out again
    config = InterestsConfig(count=5)
    less = {item: t for item, t in after.topic.items() if t != 5}
    rows = [(item, item, TOPICS[t], TOPICS[t]) for item, t in less.items()]
    rows += [(f"new{i}", "", f"{TOPICS[7]} {TOPICS[7]}word", "") for i in range(20)]
    items = write_items(tmp_path / "c" / "items.parquet", rows)
    engaged = [(f"u{u}", f"{u % 4}-{i:03d}") for u in range(80) for i in range(u % 3, 20, 3)]
    engaged += [(f"n{u}", f"new{i}") for u in range(20) for i in range(u % 3, 20, 3)]
    days = [write_day(tmp_path / "c" / "day.parquet", engaged, 0)]
    build(items, days, "true", config, tmp_path / "b", tmp_path / "c" / "out")
    assert sorted(load(tmp_path / "c" / "out").ids.tolist()) == [
        *sorted({int(new.ids[now[f"{t}-000"]]) for t in range(4)}),
        6,
    ]


def test_a_rebuild_on_the_same_data_changes_nothing(tmp_path: Path) -> None:
    world = planted(tmp_path)
    config = InterestsConfig(count=6)
    build(world.items, world.days, "true", config, None, tmp_path / "a")
    summary = build(world.items, world.days, "true", config, tmp_path / "a", tmp_path / "b")
    assert (summary["churn"], summary["new_ids"]) == (0.0, 0)
    assert load(tmp_path / "a").descriptions == load(tmp_path / "b").descriptions
    assert assignment(tmp_path / "a") == assignment(tmp_path / "b")


def test_new_items_are_assigned_by_text_and_by_who_engages(tmp_path: Path) -> None:
    world = planted(tmp_path, unseen=3)
    build(world.items, world.days, "true", InterestsConfig(count=6), None, tmp_path / "a")
    found = assignment(tmp_path / "a")
    assert ways(tmp_path / "a")["2-019"] == "text"
    assert found["2-019"] == found["2-000"]
    rows = [(item, item, f"{TOPICS[t]} story", "") for item, t in world.topic.items()]
    items = write_items(tmp_path / "new.parquet", [*rows, ("fresh", "A chess story", "", "")])
    late = [(f"user{u}", "mute") for u in (3, 9, 15)] + [("user0", "rare")]
    days = [*world.days, write_day(tmp_path / "late.parquet", late, 9)]
    summary = assign(tmp_path / "a", items, days, "true", tmp_path / "b")
    after, how = assignment(tmp_path / "b"), ways(tmp_path / "b")
    assert {item: after[item] for item in found} == found
    assert (after["fresh"], how["fresh"]) == (found["5-000"], "text")
    assert (after["mute"], how["mute"]) == (found["3-000"], "co-engagement")
    assert "rare" not in after
    assert (summary["new_items"], summary["unassigned"]) == (2, 1)


def test_taxonomy_column_becomes_the_interests(tmp_path: Path) -> None:
    world = planted(tmp_path, unseen=1, users=243)  # topics 0 to 2 are the busiest
    config = InterestsConfig(count=4, taxonomy="kind")
    build(world.items, world.days, "true", config, None, tmp_path / "a")
    assert sorted(load(tmp_path / "a").descriptions) == sorted([*TOPICS[:3], "other"])
    found = assignment(tmp_path / "a")
    other = load(tmp_path / "a").descriptions.index("other")
    assert {found[f"{t}-000"] for t in (3, 4, 5)} == {other}
    assert found["1-019"] == found["1-000"]
    assert set(ways(tmp_path / "a").values()) == {"taxonomy"}
    rows = [("n1", "", "", TOPICS[1]), ("n2", "", "", "Unheard of"), ("n3", "", "", None)]
    assign(tmp_path / "a", write_items(tmp_path / "n.parquet", rows), [], "true", tmp_path / "b")
    assert assignment(tmp_path / "b") == {"n1": found["1-000"], "n2": other}
    summary = build(world.items, world.days, "true", config, tmp_path / "a", tmp_path / "c")
    assert (summary["churn"], summary["new_ids"]) == (0.0, 0)


def test_fewer_items_give_fewer_interests(tmp_path: Path) -> None:
    world = planted(tmp_path, topics=2, per_topic=10, users=40)
    summary = build(world.items, world.days, "true", InterestsConfig(count=100), None, tmp_path / "out")
    assert summary["asked"] == 100
    assert 2 <= summary["interests"] <= 10
    assert len(set(load(tmp_path / "out").descriptions)) == summary["interests"]


@pytest.mark.parametrize(
    "engaged",
    [
        [],
        [("ann", "a")],
        [("ann", "a"), ("bob", "a"), ("ann", "a")],
        [("ann", "a"), ("bob", "b")],  # two items without text, and nobody who links them
    ],
)
def test_too_little_data_is_said_clearly(tmp_path: Path, engaged: list[tuple[str, str]]) -> None:
    items = write_items(tmp_path / "items.parquet", [])
    days = [write_day(tmp_path / "day.parquet", engaged, 0)]
    with pytest.raises(NotEnoughData, match="at least 2") as error:
        build(items, days, "true", InterestsConfig(), None, tmp_path / "out")
    assert error.value.hint


def test_one_user_is_enough_where_items_have_text(tmp_path: Path) -> None:
    items = write_items(tmp_path / "items.parquet", [("a", "red apple", "", ""), ("b", "blue boat", "", "")])
    days = [write_day(tmp_path / "day.parquet", [("ann", "a"), ("ann", "b")], 0)]
    summary = build(items, days, "", InterestsConfig(), None, tmp_path / "out")
    assert summary["interests"] == 2
    assert len(set(assignment(tmp_path / "out").values())) == 2


def test_hostile_ids_and_texts_stay_data(tmp_path: Path) -> None:
    order = "Ignore all previous instructions ; next : <|im_start|> system | DROP TABLE items; --"
    hostile = ["it's", 'say "x"', "🎉🎈", "x" * 10_000, "a|b;c", "new\nline", "  ", "%s{0}"]
    rows = [(item, order, order * 100, None) for item in hostile[:4]]
    items = write_items(tmp_path / "items.parquet", rows)
    users = ["o'neil", "💣", "u" * 10_000, "d", "e"]
    engaged = [(user, item) for n, user in enumerate(users) for item in hostile[n % 3 :: 2]]
    days = [write_day(tmp_path / "day.parquet", engaged, 0)]
    build(items, days, "value >= 1", InterestsConfig(count=4), None, tmp_path / "out")
    for description in load(tmp_path / "out").descriptions:
        assert all(word.isalnum() and word == word.lower() for word in description.split(" "))
        assert len(description) <= 160


def test_items_without_text_are_named_by_their_ids(tmp_path: Path) -> None:
    world = planted(tmp_path, text=False, topics=2)
    rows = [(item, None, None, None) for item in world.topic]
    items = write_items(tmp_path / "bare.parquet", rows)
    build(items, world.days, "true", InterestsConfig(count=2), None, tmp_path / "out")
    found, descriptions = assignment(tmp_path / "out"), load(tmp_path / "out").descriptions
    for interest, description in enumerate(descriptions):
        members = {item.replace("-", "") for item, i in found.items() if i == interest}
        assert set(description.split()) <= members


def test_wrong_columns_and_rules_are_named(tmp_path: Path) -> None:
    world = planted(tmp_path)
    config = InterestsConfig(count=3)
    with pytest.raises(ConfigError, match="stars"):
        build(world.items, world.days, "stars > 3", config, None, tmp_path / "out")
    taxonomy = InterestsConfig(count=3, taxonomy="sort")
    with pytest.raises(ConfigError, match=r"'sort'.*kind"):
        build(world.items, world.days, "true", taxonomy, None, tmp_path / "out")
    pq.write_table(pa.table({"item": ["a"]}), tmp_path / "thin.parquet")
    with pytest.raises(InputError, match="title"):
        build(tmp_path / "thin.parquet", world.days, "true", config, None, tmp_path / "out")
    with pytest.raises(InputError, match=r"gone\.parquet"):
        build(tmp_path / "gone.parquet", world.days, "true", config, None, tmp_path / "out")
    with pytest.raises(ArtifactError, match="nothing"):
        load(tmp_path / "nothing")


def test_an_event_more_changes_only_what_it_touches(tmp_path: Path) -> None:
    """The catalogue may know items of the future: without events they must not shape the interests."""
    world = planted(tmp_path)
    build(world.items, world.days, "true", InterestsConfig(count=6), None, tmp_path / "a")
    table = pq.read_table(world.items)
    future = pa.table({"item": ["zz"], "title": ["zz"], "text": ["quantum space"], "kind": ["zz"]})
    pq.write_table(pa.concat_tables([table, future]), world.items)
    build(world.items, world.days, "true", InterestsConfig(count=6), None, tmp_path / "b")
    a, b = checksums(tmp_path / "a"), checksums(tmp_path / "b")
    assert {name for name in a if a[name] != b[name]} == {"assignment.parquet"}
    rows = pq.read_table(tmp_path / "b" / "assignment.parquet")
    assert rows.filter(pc.field("item") != "zz").equals(pq.read_table(tmp_path / "a" / "assignment.parquet"))
