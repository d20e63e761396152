"""The verdicts of the first page: the worst decides, and what is not known weighs nothing beside others."""

from __future__ import annotations

from freshet.core.errors import FreshetError
from freshet.dashboard.overview_view import FRESH, LINKS, part, verdict
from freshet.dashboard.paging import paged
from freshet.inspect.service_level import ServiceLevel, State


def level(name: str, state: State) -> ServiceLevel:
    """A level with this state."""
    return ServiceLevel(name, state, None, None, "", f"{name} is {state}")


def test_the_worst_level_decides() -> None:
    found = verdict([level("a", "ok"), level("b", "breach"), level("c", "unknown"), level("d", "warn")])
    assert (found.word, found.tone, found.sentence) == ("no", "bad", "B is breach.")
    assert [reason.sentence[:1] for reason in found.reasons] == ["b", "d", "a", "c"]
    assert [reason.word for reason in found.reasons] == ["broken", "look", "kept", "not known"]


def test_what_is_not_known_is_no_reason_to_worry_and_none_to_be_sure() -> None:
    assert verdict([level("a", "ok"), level("b", "unknown")]).word == "yes"
    assert verdict([level("b", "unknown"), level("c", "off")]).word == "not known"
    assert verdict([]).word == "not known"


def test_every_level_leads_somewhere_that_is() -> None:
    assert set(LINKS.values()) <= {"runs", "reviews", "releases", "reports"}
    assert "drift" in FRESH


def test_a_part_that_fails_says_so() -> None:
    def broken() -> int:
        raise FreshetError("it is damaged", hint="mend it")

    assert (part(broken).trouble, part(broken).hint) == ("it is damaged", "mend it")
    assert part(lambda: 3).value == 3


def test_lists_come_in_pages() -> None:
    found = paged(list(range(60)), 2)
    assert (list(found.shown), found.pages, found.total) == (list(range(25, 50)), 3, 60)
    assert paged(list(range(60)), 99).page == 3
    assert paged([], 1).pages == 1
