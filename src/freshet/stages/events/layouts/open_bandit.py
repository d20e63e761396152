"""Open Bandit: what two policies showed side by side, with propensities and clicks, and without users."""

from __future__ import annotations

from freshet.stages.events.layouts.published import Layout, Part

OPEN_BANDIT = Layout(
    name="open-bandit",
    title="the Open Bandit Dataset",
    source="https://github.com/st-tech/zr-obp/blob/master/obd/README.md",
    parts=(
        Part(
            r"(all|men|women)\.csv",
            "other",
            "all.csv",
            head=r"\bitem_id,position,click,propensity_score\b",
            sign=True,
        ),
        Part(r"item_context\.csv", "other", "item_context.csv", why="about items"),
    ),
    refused="its impressions name no users, so nobody moves on from one item to another in them",
    hint="it is for off-policy estimates: benchmarks/open_bandit.py, docs/how-to/data-sets.md",
)
