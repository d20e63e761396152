from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from freshet.core.config import Events
from freshet.stages.events import EventLog, brings_items, import_items

from .sources import events, take

MOVIES = {
    "ml-latest": (
        "movies.csv",
        'movieId,title,genres\n1,"Misérables, Les (1995)",Drama|War\n2,Heat (1995),Action\n',
    ),
    "ml-1m": ("movies.dat", "1::Misérables, Les (1995)::Drama|War\n2::Heat (1995)::Action\n"),
    "movietweetings": ("movies.dat", "1::Misérables, Les (1995)::Drama|War\n2::Heat (1995)::Action\n"),
}
RATINGS = {
    "ml-latest": ("ratings.csv", "userId,movieId,rating,timestamp\n7,1,4.5,1260759144\n7,2,3.0,1260759179\n"),
    "ml-1m": ("ratings.dat", "7::1::4.5::1260759144\n7::2::3::1260759179\n"),
    "movietweetings": ("ratings.dat", "7::1::4.5::1260759144\n7::2::3::1260759179\n"),
}


@pytest.fixture(params=sorted(MOVIES))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A data set's folder, with files beside the ones that matter."""
    path = tmp_path / request.param
    path.mkdir()
    encoding = "latin-1" if request.param == "ml-1m" else "utf-8"
    for name, text in (MOVIES[request.param], RATINGS[request.param]):
        (path / name).write_text(text, encoding=encoding)
    (path / "README.txt").write_text("about")
    (path / "links.csv").write_text("movieId,imdbId\n1,114709\n")
    (path / "users.dat").write_text("7::F::1::10::48067\n")
    return path


def test_a_public_data_set_is_events_and_items(folder: Path, tmp_path: Path) -> None:
    report = take(tmp_path / "w", folder, positive="rating >= 4")
    assert (report.added, report.quarantined) == (2, {})
    assert events(EventLog(tmp_path / "w").snapshot(), '"user", item, "time", value') == [
        ("7", "1", datetime(2009, 12, 14, 2, 52, 24), 4.5),
        ("7", "2", datetime(2009, 12, 14, 2, 52, 59), 3.0),
    ]
    assert brings_items(folder)
    items = import_items(folder, Events(), tmp_path / "items")
    assert (items.items, items.without_text) == (2, 0)
    assert pq.read_table(tmp_path / "items" / "items.parquet").select(
        ["item", "title", "text"]
    ).to_pylist() == [
        {"item": "1", "title": "Misérables, Les (1995)", "text": "Drama War"},
        {"item": "2", "title": "Heat (1995)", "text": "Action"},
    ]


def test_the_named_file_alone_is_enough(folder: Path, tmp_path: Path) -> None:
    (ratings,) = folder.glob("ratings.*")
    (movies,) = folder.glob("movies.*")
    assert take(tmp_path / "v", ratings).snapshot == take(tmp_path / "w", folder).snapshot
    assert import_items(movies, Events(), tmp_path / "items").items == 2
    assert not brings_items(ratings)
