"""MIND, the Microsoft News data set: impressions with what was clicked, and the texts of the news."""

from __future__ import annotations

from freshet.core import config
from freshet.stages.events.layouts.published import Layout, Part, Reading

_LINE = r"^\d+\t[^\t]+\t[^\t]+\t[^\t]*\t"
_SHOWN = "unnest(string_split_regex(trim(coalesce(impressions, '')), '\\s+')) AS shown"

BEHAVIORS = ("impression_id", "user_id", "time", "history", "impressions")
"""Columns of behaviors.tsv."""

_CLICKS = Reading(
    columns=BEHAVIORS,
    delimiter="\t",
    # What is neither `N123-0` nor `N123-1` stays a row without an item: it is refused, not lost.
    rows=f"""SELECT *, regexp_extract(shown, '^(.+)-1$', 1) AS clicked
        FROM (SELECT *, {_SHOWN} FROM ({{rows}})) WHERE NOT regexp_full_match(shown, '.+-0')""",
    events=config.Columns(item="clicked", time="time", value=""),
    time_format="month-first",
)

_NEWS = Reading(
    columns=(
        *("item_id", "category", "subcategory", "title", "abstract", "url"),
        *("title_entities", "abstract_entities"),
    ),
    delimiter="\t",
    rows="SELECT *, concat_ws(' ', category, subcategory, abstract) AS words FROM ({rows})",
    items=config.ItemColumns(text="words"),
)

MIND = Layout(
    name="mind",
    title="MIND (Microsoft News)",
    source="https://learn.microsoft.com/azure/open-datasets/dataset-microsoft-news",
    parts=(
        Part(
            r"behaviors\.tsv",
            "other",
            "behaviors.tsv",
            head=_LINE + r"[^\t-]+(\s[^\t-]+)*\s*$",
            why="a test set: it doesn't say what was clicked",
        ),
        Part(
            r"behaviors\.tsv",
            "events",
            "behaviors.tsv",
            _CLICKS,
            head=_LINE + r"(.+-[01]\s*)?$",
            sign=True,
            distinct=True,
            taken="each click in a list of impressions is an event; what was shown and not clicked is none, "
            "nor is the history of clicks, which has no times",
        ),
        Part(r"news\.tsv", "items", "news.tsv", _NEWS, head=r"^[^\t]+(\t[^\t]*){7}$", required=True),
        Part(r"(entity|relation)_embedding\.vec", "other", "entity_embedding.vec", why="vectors of entities"),
    ),
)
