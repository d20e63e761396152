"""Impressions that another system has logged, as SQL: which column is what, and why a row can't be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from freshet.core.config import Columns
from freshet.core.errors import ConfigError
from freshet.stages.events.quarantine import RAW, REASON, ROW
from freshet.storage import sql

ELSEWHERE = "elsewhere"
"""`reason` of what was shown by another system, whose propensities can't be computed again here."""

PARTS = {
    "id": "of the answer that was shown, one for all its places; `id=` = the file has none",
    "user": "whom it was shown to",
    "time": "when",
    "interest": "id or description of the interest shown",
    "item": "the item shown; without a column for the interest, its interest is meant",
    "propensity": "probability with which it was shown at its place, above 0, at most 1",
    "place": "where it stood, from 0; without a column, the rows of an id are in order",
    "context": "ids of the user's last interests, most recent last; blank = the user had none",
    "history": "instead of `context`: items that the user engaged, most recent last",
    "release": "number of the release that answered; without a column, none of them did",
    "score": "log-probability of the interest by that release; without a column, its table's",
    "experiment": "that the user was in",
    "arm": "of it",
    "outcome": "value of the engagement with the item that followed; blank, false or 0 = none",
    "outcome_time": "when that was; without a column, when it was shown",
}
"""What a column may hold."""

_USUAL = Columns()


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """The file's names of the parts; those that it need not have are looked for by their own names.

    Attributes:
        given: part -> column, as a person named them.
    """

    given: Mapping[str, str]

    @classmethod
    def of(cls, pairs: list[str]) -> ColumnNames:
        """From `PART=NAME`.

        Raises:
            ConfigError: it is no pair, or there is no such part.
        """
        given = {}
        for pair in pairs:
            part, sign, name = pair.partition("=")
            if not sign or part not in PARTS or (not name and part != "id"):
                raise ConfigError(
                    f"--column '{pair}' is not PART=NAME", hint=f"PART is one of {', '.join(PARTS)}"
                )
            given[part] = name
        return cls(given)

    @property
    def by_item(self) -> bool:
        """Whether items were shown."""
        return "item" in self.given

    def of_part(self, part: str) -> str:
        """The column of a part."""
        return self.given.get(part, part)

    def events(self) -> Columns:
        """Those parts that an event has as well."""
        return Columns(
            user=self.given.get("user", _USUAL.user),
            time=self.given.get("time", _USUAL.time),
            item=self.of_part("item" if self.by_item else "interest"),
            value=self.of_part("propensity"),
            id=self.of_part("id"),
        )

    def further(self) -> dict[str, str]:
        """The other parts."""
        known = {"user", "time", "id", "propensity", "item" if self.by_item else "interest"}
        return {part: self.of_part(part) for part in PARTS if part not in known and part != "item"}


def checked_rows(draft: str, names: ColumnNames, there: frozenset[str], k: int) -> str:
    """SQL: rows of a staged draft with their parts, and the `reason` why they can't be used (NULL: they can).

    Expects tables `names` (name, interest), `assigned` (item, interest), `releases` (number) and `flags`, one
    row with a list that is true at 1 + the id of every interest.

    Args:
        draft: SQL of what `staging.stage` has written.
        there: columns of it.
        k: interests of a context, at most.
    """
    found = {part: sql.name(name) for part, name in names.further().items() if name in there}
    placed = "given_place"
    if "place" not in found:
        ranked = "dense_rank() OVER (PARTITION BY id, why IS NULL ORDER BY first_nr)"
        placed = f"CAST({ranked} - 1 AS INTEGER)"
    return f"""WITH parts AS ({_parts(draft, names, found)}),
        judged AS (SELECT *, {_why(names, found)} AS why FROM parts, flags),
        firsts AS (
            SELECT *, min(nr) OVER (PARTITION BY id, interest, items, why IS NULL) AS first_nr FROM judged
        ),
        placed AS (SELECT * REPLACE (context[-{k}:] AS context), {placed} AS place FROM firsts),
        of_id AS (
            SELECT id, count(DISTINCT ("user", "time", release, experiment, arm, context)) AS n
            FROM placed WHERE why IS NULL GROUP BY id
        ),
        of_place AS (
            SELECT id, place, count(DISTINCT (interest, propensity, items, score, outcome)) AS n
            FROM placed WHERE why IS NULL GROUP BY id, place
        )
        SELECT p.*, coalesce(p.why, CASE
            WHEN of_id.n > 1 THEN 'one id with different users, times, contexts, releases or arms'
            WHEN of_place.n > 1 THEN 'one id and place with different content' END) AS reason
        FROM placed AS p LEFT JOIN of_id ON of_id.id = p.id
        LEFT JOIN of_place ON of_place.id = p.id AND of_place.place = p.place"""


def _text(found: Mapping[str, str], part: str) -> str:
    """SQL: a part as the file has it."""
    return f"d.{found[part]}" if part in found else "CAST(NULL AS VARCHAR)"


def _words(text: str) -> str:
    """SQL: what a list holds, written with commas, blanks, bars or as JSON."""
    return f"regexp_extract_all({text}, '[^\\s,;|\\[\\]\"'']+')"


def _parts(draft: str, names: ColumnNames, found: Mapping[str, str]) -> str:
    """SQL: one row each, with the parts as they are stated and as they are understood."""
    text = {part: _text(found, part) for part in PARTS}
    by_assignment = names.by_item and "interest" not in found
    context = "coalesce(h.context, CAST([] AS INTEGER[]))"
    if "context" in found:
        numbers = f"list_transform({_words(text['context'])}, lambda x: TRY_CAST(x AS INTEGER))"
        context = f"coalesce({numbers}, CAST([] AS INTEGER[]))"
    outcome = f"""CASE lower({text["outcome"]}) WHEN 'true' THEN 1.0 WHEN 'false' THEN 0.0
        ELSE TRY_CAST({text["outcome"]} AS DOUBLE) END"""
    own_id = """md5(d."user" || chr(10) || d."time")"""
    return f"""SELECT d.{sql.name(ROW)} AS nr, d."user", d."time", d."value" AS propensity,
        {"d.id" if names.of_part("id") else own_id} AS id,
        {"a.interest" if by_assignment else "n.interest"} AS interest,
        {"[d.item]" if names.by_item else "CAST([] AS VARCHAR[])"} AS items,
        {context} AS context,
        {text["place"]} AS stated_place, TRY_CAST({text["place"]} AS INTEGER) AS given_place,
        {text["release"]} AS stated_release, coalesce(r.number, 0) AS release, r.number AS known_release,
        {text["score"]} AS stated_score, TRY_CAST({text["score"]} AS DOUBLE) AS score,
        coalesce({text["experiment"]}, '') AS experiment, coalesce({text["arm"]}, '') AS arm,
        {text["outcome"]} AS stated_outcome, {outcome} AS outcome,
        {text["outcome_time"]} AS stated_outcome_time,
        TRY_CAST({text["outcome_time"]} AS TIMESTAMP) AS known_outcome_time,
        coalesce(known_outcome_time, d."time") AS outcome_time
        FROM ({draft}) AS d
        LEFT JOIN names AS n ON n.name = {text["interest"] if names.by_item else "d.item"}
        LEFT JOIN assigned AS a ON a.item = d.item
        LEFT JOIN releases AS r ON r.number = TRY_CAST({text["release"]} AS BIGINT)
        LEFT JOIN ({_histories(draft, found)}) AS h ON h.nr = d.{sql.name(ROW)}
        WHERE d.{sql.name(REASON)} IS NULL"""


def _histories(draft: str, found: Mapping[str, str]) -> str:
    """SQL: (nr, context) of rows with a history: the interests of its items, each where it was last."""
    if "history" not in found or "context" in found:
        return "SELECT CAST(NULL AS BIGINT) AS nr, CAST(NULL AS INTEGER[]) AS context WHERE false"
    items = _words(_text(found, "history"))
    return f"""SELECT nr, list(interest ORDER BY place) AS context FROM (
            SELECT nr, interest, max(place) AS place FROM (
                SELECT d.{sql.name(ROW)} AS nr, unnest({items}) AS item,
                    generate_subscripts({items}, 1) AS place
                FROM ({draft}) AS d
            ) JOIN assigned USING (item) GROUP BY nr, interest
        ) GROUP BY nr"""


def _why(names: ColumnNames, found: Mapping[str, str]) -> str:
    """SQL: why a row can't be used by itself."""
    unknown = "unknown item" if names.by_item and "interest" not in found else "unknown interest"
    reasons = {
        "missing id": "id IS NULL",
        "missing propensity": "propensity IS NULL",
        "propensity outside of (0, 1]": "NOT (propensity > 0 AND propensity <= 1)",
        unknown: "interest IS NULL",
        "context with an unknown interest": (
            "len(list_filter(context, lambda x: NOT coalesce(x >= 0 AND flag[x + 1], false))) > 0"
        ),
        "place is no number from 0": "stated_place IS NOT NULL AND NOT coalesce(given_place >= 0, false)",
        "unknown release": "coalesce(trim(stated_release), '') NOT IN ('', '0') AND known_release IS NULL",
        "score is not a number": (
            "coalesce(trim(stated_score), '') <> '' AND NOT coalesce(isfinite(score), false)"
        ),
        "experiment without arm, or arm without experiment": "(experiment = '') <> (arm = '')",
        "outcome is not a number": (
            "coalesce(trim(stated_outcome), '') <> '' AND NOT coalesce(isfinite(outcome), false)"
        ),
        "outcome without an item": "coalesce(outcome, 0) <> 0 AND len(items) = 0",
        "unreadable outcome time": (
            "coalesce(trim(stated_outcome_time), '') <> '' AND known_outcome_time IS NULL"
        ),
    }
    return f"CASE {' '.join(f'WHEN {when} THEN {sql.text(why)}' for why, when in reasons.items())} END"


def refused_rows(draft: str, judged: str, there: frozenset[str]) -> str:
    """SQL: the draft's columns REASON, ROW and RAW for all its rows, those of `checked_rows` added.

    Args:
        judged: a table with `nr` and `reason`.
    """
    shown = sorted(there - {REASON, ROW, RAW} - {name for name in there if name.startswith("freshet ")})
    pairs = ", ".join(f"{sql.text(name)}, CAST(d.{sql.name(name)} AS VARCHAR)" for name in shown)
    return f"""SELECT coalesce(d.{sql.name(REASON)}, j.reason) AS {sql.name(REASON)}, d.{sql.name(ROW)},
        coalesce(d.{sql.name(RAW)}, CAST(json_object({pairs}) AS VARCHAR)) AS {sql.name(RAW)}
        FROM ({draft}) AS d LEFT JOIN {judged} AS j ON j.nr = d.{sql.name(ROW)}"""
