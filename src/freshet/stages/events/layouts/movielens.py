"""MovieLens (1M, 10M, 20M, 25M, latest; 100K) and MovieTweetings, which is written as MovieLens 1M is."""

from __future__ import annotations

from freshet.core import config
from freshet.stages.events.layouts.published import Layout, Part, Reading

DAT_EVENTS = Reading(columns=("user_id", "item_id", "rating", "timestamp"))
DAT_ITEMS = Reading(columns=("item_id", "title", "genres"))
"""How any `.dat` file is read: fields separated by `::`, without a header."""

_RATED = "each rating is an event, its value the stars"
_FOUR_STARS = "value >= 4"

CSV = Layout(
    name="movielens",
    title="MovieLens (CSV)",
    source="https://files.grouplens.org/datasets/movielens/ml-latest-README.html",
    parts=(
        Part(
            r"ratings\.csv",
            "events",
            "ratings.csv",
            head=r"^userId,movieId,rating,timestamp",
            sign=True,
            taken=_RATED,
            positive=_FOUR_STARS,
        ),
        Part(r"movies\.csv", "items", "movies.csv", head=r"^movieId,title,genres"),
        Part(r"(tags|genome-tags|genome-scores)\.csv", "other", "tags.csv", why="tags, not ratings"),
        Part(r"links\.csv", "other", "links.csv", why="ids of other catalogues"),
    ),
)

_USERS = Part(r"users\.dat", "other", "users.dat", why="about users")
_DAT = (
    Part(r"movies\.dat", "items", "movies.dat", DAT_ITEMS),
    Part(r"tags\.dat", "other", "tags.dat", why="tags, not ratings"),
)

MOVIETWEETINGS = Layout(
    name="movietweetings",
    title="MovieTweetings",
    source="https://github.com/sidooms/MovieTweetings",
    parts=(
        Part(
            r"ratings\.dat",
            "events",
            "ratings.dat",
            DAT_EVENTS,
            head=r"^\d+::\d{6,8}::\d+::\d+",  # items are ids of IMDb with their zeros: 0110912
            sign=True,
            taken="each rating is an event, its value 0 to 10",
            positive="value >= 7",
        ),
        _USERS,
        *_DAT,
    ),
)

DAT = Layout(
    name="movielens-dat",
    title="MovieLens 1M or 10M",
    source="https://files.grouplens.org/datasets/movielens/ml-1m-README.txt",
    parts=(
        Part(
            r"ratings\.dat",
            "events",
            "ratings.dat",
            DAT_EVENTS,
            head=r"^\d+::\d{1,5}::[\d.]+::\d+",
            sign=True,
            taken=_RATED,
            positive=_FOUR_STARS,
        ),
        _USERS,
        *_DAT,
    ),
)

_GENRES = (
    "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip


def _genre_words() -> str:
    """SQL: the names of the genres that are marked 1; names with an apostrophe are quoted for SQL."""
    quoted = [(name.replace('"', ""), name.replace("'", "''")) for name in _GENRES]
    cases = ", ".join(f"""CASE WHEN "{column}" = '1' THEN '{word}' END""" for column, word in quoted)
    return f"concat_ws(' ', {cases})"


OLD = Layout(
    name="movielens-100k",
    title="MovieLens 100K",
    source="https://files.grouplens.org/datasets/movielens/ml-100k-README.txt",
    parts=(
        Part(
            r"u\.data",
            "events",
            "u.data",
            Reading(columns=("user_id", "item_id", "rating", "timestamp"), delimiter="\t"),
            head=r"^\d+\t\d+\t\d\t\d+",
            sign=True,
            distinct=True,
            taken=_RATED,
            positive=_FOUR_STARS,
        ),
        Part(
            r"u\.item",
            "items",
            "u.item",
            Reading(
                columns=(
                    *("item_id", "title", "release_date", "video_release_date", "imdb_url", "unknown"),
                    *_GENRES,
                ),
                delimiter="|",
                rows=f"SELECT *, {_genre_words()} AS genre_words FROM ({{rows}})",
                items=config.ItemColumns(text="genre_words"),
            ),
            required=True,
        ),
        Part(r"u\.(user|genre|occupation|info)", "other", "u.user", why="about users and genres"),
        Part(r"u[\dab]\.(base|test)", "other", "u1.base", why="the same ratings as u.data"),
    ),
)
