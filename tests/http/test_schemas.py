"""What is read from requests, what is refused, and that answers are what their schema says."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from freshet.core.types.recommendations import Answer, Recommendation, RecommendedItem
from freshet.http import schemas
from freshet.http.endpoints import Events, answer_document, reply
from freshet.http.problems import refusal
from freshet.http.schemas import EventRequest, ExploreRequest

EVENTS: TypeAdapter[EventRequest | list[EventRequest]] = TypeAdapter(Events)
NEW_YEAR = 1_767_225_600_000_000
"""2026-01-01 in microseconds since 1970."""


def moment(time: object) -> int | None:
    return EventRequest.model_validate_json(json.dumps({"user": "u", "item": "i", "time": time})).event().time


@pytest.mark.parametrize(
    "time",
    ["2026-01-01T00:00:00Z", "2026-01-01T01:30:00+01:30", "2026-01-01", "2026-01-01T00:00", 1_767_225_600, 1_767_225_600.0],
)  # fmt: skip
def test_a_time_is_iso_or_seconds_and_without_a_zone_utc(time: object) -> None:
    assert moment(time) == NEW_YEAR


def test_a_fraction_of_a_second_is_kept_and_no_time_is_none() -> None:
    assert moment("2026-01-01T00:00:00.000001Z") == NEW_YEAR + 1
    assert moment(1_767_225_600.25) == NEW_YEAR + 250_000
    assert moment(None) is None


@pytest.mark.parametrize(
    "time", ["", "soon", "12345", "1969-12-31", "2100-01-01", -1, 1_767_225_600_000, 1e300, True, [], {}]
)
def test_what_is_no_time_is_refused(time: object) -> None:
    with pytest.raises(ValidationError):
        moment(time)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2099, 12, 31)))
def test_every_moment_is_read_as_it_is(when: datetime) -> None:
    exact = when.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    assert moment(when.isoformat()) == exact // (exact.resolution)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ('{"usr": "u"}', "usr"),
        ('{"user": 7}', "user"),
        ('{"user": ""}', "user"),
        ('{"user": "' + "u" * 257 + '"}', "user"),
        ('{"history": "abc"}', "history"),
        ('{"history": [""]}', "history.0"),
        (json.dumps({"history": ["a"] * 10_001}), "history"),
        ('{"interests": 0}', "interests"),
        ('{"interests": "3"}', "interests"),
        ('{"items": 1e9}', "items"),
        ('{"explain": 1}', "explain"),
        ('{"attributes": {"region": 1}}', "attributes.region"),
        ("[]", "body"),
        ('{"user": "\\ud800"}', "hex escape"),
        ("[" * 1000 + "]" * 1000, "recursion limit"),
        ("", "Invalid JSON"),
    ],
)
def test_a_question_is_read_strictly_and_the_fault_is_named(body: str, place: str) -> None:
    with pytest.raises(ValidationError) as error:
        ExploreRequest.model_validate_json(body)
    told = refusal(error.value)
    assert told is not None
    assert told.status in (400, 422)
    assert place in told.message


def test_a_long_history_is_no_fault() -> None:
    body = json.dumps({"history": ["a"] * 10_000})
    assert len(ExploreRequest.model_validate_json(body).query().history or ()) == 10_000


def test_one_event_or_a_list_and_a_fault_is_told_once() -> None:
    one = EVENTS.validate_json('{"user": "u", "item": "i", "columns": {"watched": 0.5, "full": true}}')
    assert isinstance(one, EventRequest)
    assert one.event().columns == {"watched": 0.5, "full": True}
    assert isinstance(EVENTS.validate_json('[{"user": "u", "item": "i"}]'), list)
    with pytest.raises(ValidationError) as error:
        EVENTS.validate_json('[{"user": "u", "item": "i"}, {"user": "u"}]')
    told = refusal(error.value)
    assert told is not None
    assert told.message == "list.1.item: Field required"


@pytest.mark.parametrize("body", ["[]", "3", "null", '{"user":"u","item":"i","value":NaN}', '"x"'])
def test_what_is_no_event_is_refused(body: str) -> None:
    with pytest.raises(ValidationError):
        EVENTS.validate_json(body)


def test_an_answer_is_what_its_schema_says_and_leaves_nothing_out() -> None:
    items = (RecommendedItem("tt1", "A title", -0.5, "popular"),)
    recommendations = (
        Recommendation(4, "jazz", -1.5, 0.25, "explored", items, {"rows": {"pair": 0.5}}),
        Recommendation(5, "roses", float("-inf"), 1.0, "known"),
    )
    answer = Answer("a1", 3, ("wine",), (7,), "last", True, recommendations)
    document = answer_document(answer)
    sent = json.loads(reply(document).body)
    read = schemas.Answer.model_validate(sent)
    assert read.interests[0].items[0].id == "tt1"
    assert read.interests[1].score is None
    interest = document["interests"][0]
    for kind, schema, found in (
        (Answer, schemas.Answer, document),
        (Recommendation, schemas.Offer, interest),
        (RecommendedItem, schemas.ItemOffer, interest["items"][0]),
    ):
        assert set(found) == {field.name for field in fields(kind)}
        assert set(schema.model_fields) == set(found)
