"""Amazon Reviews 2023: reviews of a category as JSON lines, and `meta_` files with the products."""

from __future__ import annotations

from freshet.core import config
from freshet.stages.events.layouts.published import Layout, Part, Reading

_EVENTS = config.Columns(item="parent_asin", value="rating")
_RATED = "each review is an event, its value the stars; items are products with their variants (parent_asin)"


def _words(*columns: str) -> str:
    """SQL: the words of JSON lists of texts, in this order."""
    return "trim(concat_ws(' ', " + ", ".join(_list(column) for column in columns) + "))"


def _list(column: str) -> str:
    """SQL: the texts of a JSON list, one after the other; what is no list of texts has none."""
    is_list = f"""json_valid({column}) AND json_type({column}) = 'ARRAY'"""
    texts = f"""from_json({column}, '["VARCHAR"]')"""
    return f"CASE WHEN {is_list} THEN array_to_string({texts}, ' ') END"


AMAZON = Layout(
    name="amazon-reviews-2023",
    title="Amazon Reviews 2023",
    source="https://amazon-reviews-2023.github.io/",
    parts=(
        Part(
            r"meta_.+\.jsonl",
            "items",
            "meta_*.jsonl",
            Reading(
                needs=("parent_asin", "title", "categories", "features", "description"),
                rows=f"SELECT *, {_words('categories', 'features', 'description')} AS words FROM ({{rows}})",
                items=config.ItemColumns(item="parent_asin", text="words"),
            ),
            head=r'"parent_asin"\s*:',
            required=True,
        ),
        Part(
            r"(?!meta_).+\.jsonl",
            "events",
            "*.jsonl",
            Reading(
                needs=("user_id", "parent_asin", "rating", "timestamp"),
                events=_EVENTS,
                time_format="milliseconds",
            ),
            head=r'^(?=.*"parent_asin"\s*:)(?=.*"user_id"\s*:)(?=.*"timestamp"\s*:)',
            sign=True,
            taken=_RATED,
            positive="value >= 4",
        ),
        Part(
            r".+\.csv",
            "events",
            "*.csv",
            Reading(events=_EVENTS, time_format="milliseconds"),
            head=r"^user_id,parent_asin,rating,timestamp",
            sign=True,
            taken=_RATED,
            positive="value >= 4",
        ),
    ),
    one_kind=True,
)
