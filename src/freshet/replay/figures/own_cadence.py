"""What follows the @ in an arm's name: `hybrid@14d` is refreshed every 14 days, `counts@cost` by a policy."""

from __future__ import annotations


def own_days(arm: str) -> int | None:
    """Days between the refreshes of an arm with a fixed cadence of its own; None for all others."""
    own = arm.partition("@")[2]
    return int(own.removesuffix("d")) if own and own[0].isdigit() else None


def own_policy(arm: str) -> str | None:
    """The policy by which an arm refreshes, where its name holds one: `drift`, `cost` or `combined`."""
    own = arm.partition("@")[2]
    return own if own and not own[0].isdigit() else None
