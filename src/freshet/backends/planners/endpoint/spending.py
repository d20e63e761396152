"""What a command may spend on a server, in tokens and in money."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from freshet.core.types import Usage

MARGIN = 1.1
"""What is coming may take so much more than was estimated, without going beyond a budget."""


@dataclass(slots=True)
class Spending:
    """Budgets, and what is spent of them.

    Attributes:
        max_tokens, max_money: of one command; 0 = no limit.
        read, written, trained: price of a million tokens that a model reads, writes, and is fine-tuned on.
        currency: of the prices.
        used: so far.
    """

    max_tokens: int = 0
    max_money: float = 0.0
    read: float = 0.0
    written: float = 0.0
    currency: str = ""
    trained: float = 0.0
    used: Usage = field(default_factory=Usage)

    @property
    def limited(self) -> bool:
        """Whether there is a budget at all."""
        return self.max_tokens > 0 or self.max_money > 0

    def money(self, usage: Usage) -> float:
        """Price of tokens."""
        read = usage.tokens - usage.written
        return (read * self.read + usage.written * self.written + usage.trained * self.trained) / 1e6

    def refusal(self, coming: Usage) -> str:
        """Why what is coming may not be spent, '' where it may."""
        allowed = Usage(
            math.ceil(coming.tokens * MARGIN),
            written=math.ceil(coming.written * MARGIN),
            trained=coming.trained,
        )
        total = self.used + allowed
        if self.max_tokens and total.tokens + total.trained > self.max_tokens:
            used = self.used.tokens + self.used.trained
            return f"[planner] max_tokens_per_run = {self.max_tokens:,} is reached: {used:,} used"
        if self.max_money and self.money(total) > self.max_money:
            return (
                f"[planner] max_money_per_run = {self.max_money:g} {self.currency} is reached: "
                f"{self.money(self.used):.4f} spent"
            )
        return ""
