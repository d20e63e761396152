"""The wording of a workspace's prompts, with the titles that it may show.

Titles are those of the busiest items of each interest when the interests were formed. They stay as long as
the interests do, so that no prompt changes for them, and they are older than all that models are judged on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq

from freshet.core.errors import ConfigError
from freshet.core.ports import Tuner
from freshet.core.prompt_templates import PromptTemplate, TemplateWording, check, clean
from freshet.core.prompts import ShortWording, Wording, names
from freshet.core.types import Interests
from freshet.run_context import RunContext
from freshet.stages import events
from freshet.storage.artifacts import committed
from freshet.storage.manifests import InterestsManifest
from freshet.storage.parquet_columns import read_columns
from freshet.storage.workspace import Workspace

TRAINED = ("scratch", "transformers")
"""Kinds whose models are tuned here: they answer with names, and read no list of options."""

Titles = tuple[tuple[str, ...], ...]
"""Cleaned titles of the typical items of each interest."""


def check_template(ws: Workspace) -> None:
    """Check the template of prompts; quick, for it comes before all that is costly.

    Raises:
        ConfigError: it can't be read, is wrong, or the planner doesn't go with it.
    """
    config = ws.config.planner
    if not config.template:
        return
    if config.kind == "scratch":
        raise ConfigError(
            '[planner] template is not for kind = "scratch": it knows no words but those of its own log',
            hint='leave template out, or choose another kind, such as "transformers"',
        )
    check(_template(ws))


def settings_of(ws: Workspace) -> dict[str, Any]:
    """What decides how the configured planner is asked, as models keep it.

    Raises:
        ConfigError: the template can't be read, or is wrong.
    """
    config = ws.config.planner
    own: dict[str, Any] = config.model_dump(include={"kind", "mode"})
    if config.template:
        own["template"] = {"text": _template(ws).source, "titles": config.titles}
    if config.shortlist and config.kind not in TRAINED:
        own["shortlist"] = config.shortlist
    return own


def planner_of(ws: Workspace, tuner: Tuner) -> dict[str, object]:
    """Which planner is tuned, by what it is made from: where its checkpoint lies is no part of it."""
    return {"planner": settings_of(ws), "recipe": tuner.recipe}


def wording_for(ws: Workspace, settings: Mapping[str, Any], interests: Interests, version: str) -> Wording:
    """The wording of prompts about interests.

    Args:
        settings: what `settings_of` gave, now or when a model was made.
        version: of the interests' artifact.
    """
    called = names(interests.descriptions, settings["mode"])
    chosen = settings.get("template")
    if chosen is None:
        return ShortWording(called)
    titles: Titles = ((),) * len(interests)
    if chosen["titles"]:
        titles = _typical(ws, interests, version, chosen["titles"])
    template = PromptTemplate(chosen["text"], ws.config.planner.template or "template")
    return TemplateWording(template, called, titles, lists=settings["kind"] not in TRAINED)


def wording_of(ctx: RunContext) -> Wording:
    """The wording of a run's prompts."""
    return wording_for(ctx.ws, settings_of(ctx.ws), ctx.log.interests, ctx.log.interests_version)


def say_missing_titles(ctx: RunContext) -> None:
    """Say where the template wants titles and the catalogue has none."""
    shown = settings_of(ctx.ws).get("template", {"titles": 0})["titles"]
    if shown and not any(_typical(ctx.ws, ctx.log.interests, ctx.log.interests_version, shown)):
        ctx.run.say(
            "the catalogue has no titles: prompts show the keywords of interests alone, for ids mean nothing "
            "to a model ([events] items, [events.item_columns] title)"
        )


def _template(ws: Workspace) -> PromptTemplate:
    return PromptTemplate.named(ws.config.planner.template, ws.source)


def _typical(ws: Workspace, interests: Interests, version: str, most: int) -> Titles:
    """The titles of up to `most` of the busiest items of each interest when these were formed."""
    formed = committed(ws.store, "interests", version)
    rows = read_columns(formed.path / "interests.parquet", columns=["id", "sample_items"])
    samples = dict(zip(rows["id"].to_pylist(), rows["sample_items"].to_pylist(), strict=True))
    catalogue = committed(ws.store, "items", InterestsManifest.of(formed).inputs.items)
    wanted = sorted({item for own in samples.values() for item in own})
    known = pq.read_table(
        catalogue.path / events.ITEMS_FILE, columns=["item", "title"], filters=[("item", "in", wanted)]
    )
    titles = {
        item: clean(title or "")
        for item, title in zip(known["item"].to_pylist(), known["title"].to_pylist(), strict=True)
    }
    found = ([titles.get(item, "") for item in samples[id_]] for id_ in interests.ids.tolist())
    return tuple(tuple(title for title in own if title)[:most] for own in found)
