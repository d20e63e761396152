"""The prompt of a context as the next refresh would ask it: nothing is asked, and no model is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from freshet import due, pipeline
from freshet.core.errors import ConfigError
from freshet.core.prompts import Prompts
from freshet.core.types import pack_contexts
from freshet.inspect.explanation import context_of
from freshet.inspect.release_view import Named
from freshet.refresh_plan import as_asked
from freshet.stages.content import step as content
from freshet.stages.evidence import step as evidence
from freshet.stages.prompts.step import short_lists
from freshet.stages.prompts.workspace_wording import check_template, wording_of
from freshet.stages.table import table_plan
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Option:
    """An interest that the planner may choose, and how it reads in the list that follows the prompt."""

    id: int
    description: str
    reads: str


@dataclass(frozen=True, slots=True)
class Preview:
    """A prompt that would be asked.

    Attributes:
        as_of: the moment of the log that it tells of.
        context: what it is about.
        kind: of planner.
        template: its name or file, '' = the short wording.
        system: what a chat model is told first, '' = nothing; then `text`.
        options: what is chosen among; () = all interests.
    """

    as_of: str
    context: tuple[Named, ...]
    kind: str
    template: str
    system: str
    text: str
    options: tuple[Option, ...]


def preview(ws: Workspace, asked: Sequence[str]) -> Preview:
    """The prompt of a context, now; what it tells is counted first if that wasn't done yet.

    Args:
        asked: interests by id or description, most recent last, at least one.

    Raises:
        ConfigError: plain counts ask nothing; no such interest, too many of them, or none; a wrong template.
    """
    if ws.tuner is None:
        raise ConfigError('[planner] kind = "counts" asks nothing', hint="choose another kind")
    check_template(ws)
    with ws.run("plan", "") as run:
        ctx = pipeline.context_of(ws, run, due.moment(ws, run, None, due.end_of_log(ws)))
        interests, k = ctx.log.interests, ctx.config.transitions.k
        context = context_of(interests, asked, k)
        if not context:
            raise ConfigError(
                "name at least one interest: users without any are answered by counts",
                hint="`freshet interests` lists them",
            )
        ctx = ctx.with_workspace(as_asked(ws, due.accepted_model(ctx)))
        planned = table_plan.plan_table(
            ctx, None, table_plan.previous_of(ws, ctx.log), None, content.find(ctx)
        )
        contexts = pack_contexts([context], k)
        said = evidence.gather(ctx, ctx.as_of, contexts, evidence.steady(planned), planned.rules.ineligible())
        chosen = evidence.ChosenEvidence(contexts, said, [])
        lists = short_lists(ctx, planned, chosen)
        options = lists[0].options if lists else None
        [prompt] = Prompts.of(contexts, wording_of(ctx), said, options).take([0])
    reads = prompt.listing or [interests.descriptions[index] for index in prompt.options]
    return Preview(
        str(ctx.as_of),
        tuple(Named(int(interests.ids[index]), interests.descriptions[index]) for index in context),
        ws.config.planner.kind,
        ws.config.planner.template,
        prompt.system,
        prompt.text,
        tuple(
            Option(int(interests.ids[index]), interests.descriptions[index], line)
            for index, line in zip(prompt.options, reads, strict=False)
        ),
    )
