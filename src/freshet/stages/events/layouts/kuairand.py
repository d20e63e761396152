"""KuaiRand (27K, 1K, Pure): what was shown in a video feed, part of it at random, and the reactions."""

from __future__ import annotations

from freshet.core import config
from freshet.stages.events.layouts.published import Layout, Part, Reading

_SHOWN = Reading(
    needs=("user_id", "video_id", "time_ms", "is_click", "is_rand"),
    events=config.Columns(item="video_id", time="time_ms", value="is_click"),
    time_format="milliseconds",
)

KUAIRAND = Layout(
    name="kuairand",
    title="KuaiRand",
    source="https://github.com/chongminggao/KuaiRand",
    parts=(
        Part(
            r"log_(random|standard)_\d+_\d+_to_\d+_\d+(_\w+)?\.csv",
            "events",
            "log_standard_4_08_to_4_21_*.csv",
            _SHOWN,
            head=r"\buser_id,video_id\b.*\btime_ms\b.*\bis_rand\b",
            sign=True,
            distinct=True,
            taken="each video shown is an event, its value is_click: 1 if it was clicked or, where it plays "
            "at once, watched for more than 7 seconds (or to its end)",
            positive="value >= 1",
        ),
        Part(
            r"video_features_basic(_\w+)?\.csv",
            "items",
            "video_features_basic_*.csv",
            Reading(
                needs=("video_id",),
                items=config.ItemColumns(item="video_id", title="", text=""),
            ),
            required=True,
        ),
        Part(r"video_features_statistic(_\w+)?\.csv", "other", "video_features_statistic_*.csv",
             why="totals over all days, later ones included"),
        Part(r"user_features(_\w+)?\.csv", "other", "user_features_*.csv", why="about users"),
        Part(r"kuairand_video_(categories|captions?)\.csv", "other", "kuairand_video_categories.csv",
             why="beside video_features_basic"),
    ),
)  # fmt: skip
