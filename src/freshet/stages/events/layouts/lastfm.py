"""Last.fm 1K users (listens with their times), and 360K users, which has totals without times."""

from __future__ import annotations

from freshet.core import config
from freshet.stages.events.layouts.published import Layout, Part, Reading

_FILE = r"userid-timestamp-artid-artname-traid-traname\.tsv"
_NAME = "userid-timestamp-artid-artname-traid-traname.tsv"
_COLUMNS = ("user_id", "timestamp", "artist_id", "artist", "track_id", "track")
_WITH_TRACK = """SELECT *, coalesce(nullif(trim(track_id), ''),
        CASE WHEN trim(artist) <> '' AND trim(track) <> '' THEN concat(artist, ' - ', track) END) AS known_as,
        concat(artist, ' - ', track) AS name
    FROM ({rows})"""
_HEAD = r"^user_\d+\t\d{4}-\d\d-\d\dT[^\t]+(\t[^\t]*){4}$"

LISTENS = Layout(
    name="lastfm-1k",
    title="Last.fm 1K users",
    source="http://ocelma.net/MusicRecommendationDataset/lastfm-1K.html",
    parts=(
        Part(
            _FILE,
            "events",
            _NAME,
            Reading(
                columns=_COLUMNS,
                delimiter="\t",
                rows=_WITH_TRACK,
                events=config.Columns(item="known_as", value=""),
            ),
            head=_HEAD,
            sign=True,
            distinct=True,
            taken="each listen is an event; items are tracks by their MusicBrainz id, where there is none by "
            "the names of artist and track",
        ),
        Part(
            _FILE,
            "items",
            _NAME,
            Reading(
                columns=_COLUMNS,
                delimiter="\t",
                rows=f"""SELECT * FROM ({_WITH_TRACK}) QUALIFY known_as IS NULL
                    OR row_number() OVER (PARTITION BY known_as ORDER BY "freshet row") = 1""",
                aside=("user_id", "timestamp", "track_id", "track"),
                items=config.ItemColumns(item="known_as", title="name", text="artist"),
            ),
            head=_HEAD,
        ),
        Part(r"userid-profile\.tsv", "other", "userid-profile.tsv", why="about users"),
    ),
)

TOTALS = Layout(
    name="lastfm-360k",
    title="Last.fm 360K users",
    source="http://ocelma.net/MusicRecommendationDataset/lastfm-360K.html",
    parts=(
        Part(r"usersha1-artmbid-artname-plays\.tsv", "other", "usersha1-*-plays.tsv", sign=True),
        Part(r"usersha1-profile\.tsv", "other", "usersha1-profile.tsv", why="about users"),
    ),
    refused="it counts how often each user played each artist, and says of no play when it was",
    hint="what people move on to needs times: take Last.fm 1K users, which has them",
)
