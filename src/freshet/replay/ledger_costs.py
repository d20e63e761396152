"""What an arm's artifacts cost, looked up in the ledger where they were made.

Arms share equal artifacts; each bears their whole cost, since each would have to pay it if it ran alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from freshet.storage.ledger import Record, Run, StepRecord

OF_A_TABLE = ("evidence", "inference", "mixture")
"""Steps that lead to the table step after them."""


@dataclass
class CostBook:
    """Steps by the artifact they made; an artifact that nobody is known to have made cost nothing here."""

    entries: dict[str, list[StepRecord]] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Sequence[Record]) -> CostBook:
        book = cls()
        for record in records:
            book.add(record.steps)
        return book

    def add(self, steps: Sequence[StepRecord]) -> None:
        """Note what one run made; what a kill interrupted is in no ledger, the next run pays the rest."""
        leading: list[StepRecord] = []
        for step in steps:
            if step.name in OF_A_TABLE:
                shared = float(step.details.get("shared_seconds", 0.0))
                leading.append(replace(step, seconds=step.seconds + shared))
            elif step.artifact and not step.cached:
                self.entries[step.artifact] = [*leading, step] if step.name == "table" else [step]
            if step.name == "table":
                leading = []

    def cost_of_refresh(self, table: str, price: Callable[[float, int], float]) -> float:
        """Money that making a table took: what the next one should cost. `price` is of seconds and tokens."""
        return sum(price(step.seconds, step.tokens) for step in self.of_artifact(f"tables/{table}"))

    def of_artifact(self, artifact: str) -> list[StepRecord]:
        """The steps that made it."""
        return self.entries.get(artifact, [])

    def lines(self, artifacts: Sequence[str], run: Run) -> list[dict[str, object]]:
        """Each step that made the artifacts: `{step, tokens, flops, seconds, money}`, at the run's prices."""
        return [
            {
                "step": step.name,
                "tokens": step.tokens,
                "flops": step.flops,
                "seconds": step.seconds,
                "money": run.money(step.seconds, step.tokens, step.written),
            }
            for artifact in artifacts
            for step in self.of_artifact(artifact)
        ]
