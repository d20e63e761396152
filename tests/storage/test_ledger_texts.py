"""A record that is saved after every step reads as if it were written whole each time."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.storage.durable import readable
from freshet.storage.ledger import Ledger, Record, StepRecord, _text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.dictionaries(st.text(), VALUES, max_size=3), max_size=5), st.text(), VALUES)
def test_steps_are_told_once_and_the_file_is_the_same(
    steps: list[dict[str, object]], message: str, setting: object
) -> None:
    record = Record("00001", "replay", "", "2024-01-01T00:00:00+00:00", message=message)
    record.settings = {'"steps": []': setting, message: '\n "steps": []'}
    told: list[str] = []
    for number, details in enumerate([None, *steps]):
        if details is not None:
            record.steps.append(StepRecord(message or "s", seconds=0.1 * number, details=details))
        record.seconds = 1.5 * number
        assert _text(record, told) == readable(asdict(record)) + "\n"
    assert len(told) == len(steps)


def test_a_saved_record_is_read_as_it_was(tmp_path: Path) -> None:
    ledger, told = Ledger(tmp_path), list[str]()
    record = Record("00001", "replay", "", "2024-01-01T00:00:00+00:00")
    for name in ("counts", "table"):
        record.steps.append(StepRecord(name, details={"rows": 3}))
        ledger.save(record, told)
        assert ledger.get("1") == record
