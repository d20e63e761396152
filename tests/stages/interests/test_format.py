"""What items are about, as a ranker reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from freshet.core.config import InterestsConfig
from freshet.stages.interests import assign, build, item_features, load

from .world import planted


def test_items_lie_by_interest_with_their_text_and_its_centroid(tmp_path: Path) -> None:
    world = planted(tmp_path)
    build(world.items, world.days, "true", InterestsConfig(count=6), None, tmp_path / "made")
    assign(tmp_path / "made", world.items, world.days, "true", tmp_path / "assigned")
    items = tmp_path / "catalogue"
    items.mkdir()
    (items / "items.parquet").write_bytes(world.items.read_bytes())
    found = item_features(tmp_path / "made", tmp_path / "assigned", items)
    assert (np.diff(found.interest) >= 0).all()
    assert len(found.ids) == len(set(found.ids)) == len(found.titles) == len(found.vectors)
    for interest in range(6):
        own = [item for item, of in zip(found.ids, found.interest, strict=True) if of == interest]
        assert own == sorted(own)
        assert len({world.topic[item] for item in own}) == 1
    centroids = load(tmp_path / "made").vectors
    np.testing.assert_array_equal(found.vectors[:, -centroids.shape[1] :], centroids[found.interest])
