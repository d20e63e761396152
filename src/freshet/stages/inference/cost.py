"""What asking a planner should cost, or did."""

from __future__ import annotations

from dataclasses import dataclass

from freshet.core.types import Usage
from freshet.storage.ledger import Run


@dataclass(frozen=True, slots=True)
class Cost:
    """What inference should cost, or did; `seconds` and `money` are None where nothing foretells them.

    Of a model behind a server, `written` are the tokens that it writes, and `requests` are sent to it.
    """

    tokens: int
    flops: float
    seconds: float | None
    money: float | None
    written: int = 0
    requests: int = 0

    def told(self, currency: str) -> str:
        """What of it is known, for a person."""
        parts = [f"{self.tokens:,} tokens"]
        if self.requests:
            parts = [f"{self.requests:,} requests", f"{parts[0]} ({self.written:,} written)"]
        if self.seconds is not None:
            parts.append(f"{self.seconds:.1f} s")
        if self.money is not None:
            parts.append(f"{self.money:.4f} {currency}")
        return ", ".join(parts)


def cost_of(run: Run, usage: Usage, seconds: float | None) -> Cost:
    """The cost of a usage; tokens of a server have a price even where nothing foretells the time."""
    told = seconds is not None or usage.requests
    money = run.money(seconds or 0.0, usage.tokens, usage.written) if told else None
    return Cost(usage.tokens, usage.flops, seconds, money, usage.written, usage.requests)
