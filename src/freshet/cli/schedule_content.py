"""The `--json` document of what runs by itself."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from freshet.inspect import ScheduleView


def schedule_content(found: ScheduleView) -> dict[str, Any]:
    """What runs by itself, as JSON has it; without the leader's token."""
    content = times(asdict(found))
    content["paused"] = content["paused"] and {key: content["paused"][key] for key in ("by", "why", "since")}
    keys = ("host", "pid", "since")
    content["leader"] = content["leader"] and {key: content["leader"][key] for key in keys}
    return content


def times(content: dict[str, Any]) -> dict[str, Any]:
    """Times as ISO text, wherever they are."""

    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.isoformat(timespec="seconds")
        if isinstance(value, dict):
            return times(value)
        return [plain(one) for one in value] if isinstance(value, list | tuple) else value

    return {key: plain(value) for key, value in content.items()}
