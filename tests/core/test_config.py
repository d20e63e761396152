"""`freshet.toml`: documented, typed, and strict."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from freshet.core.config import Config, load, parse
from freshet.core.errors import ConfigError


def fields(section: type[BaseModel], path: str = "") -> Iterator[tuple[str, str | None]]:
    """(dotted name, description) of every setting."""
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from fields(inner, f"{path}{name}.")
        else:
            yield f"{path}{name}", field.description


def test_every_setting_has_a_description() -> None:
    found = dict(fields(Config))
    assert len(found) > 50
    assert [name for name, description in found.items() if not description] == []


def test_defaults_are_complete_and_can_not_be_changed() -> None:
    config = Config()
    assert config.transitions.novelty_days == 30
    with pytest.raises(ValidationError):
        config.transitions.k = 3  # type: ignore[misc]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "freshet.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_file_means_all_defaults(tmp_path: Path) -> None:
    assert load(written(tmp_path, "")) == Config()


def test_values_are_read(tmp_path: Path) -> None:
    text = '[transitions]\nk = 3\nnovelty_days = "ever"\n[counts]\nhalf_lives = [7, 30.5]\n[events.columns]\nuser = "wer"'
    config = load(written(tmp_path, text))
    assert (config.transitions.k, config.transitions.novelty_days) == (3, "ever")
    assert config.counts.half_lives == (7.0, 30.5)
    assert config.events.columns.user == "wer"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[transitions]\nlength = 2", r"\[transitions.length\] extra inputs are not permitted"),
        ("[transition]\nk = 2", r"\[transition\] extra inputs"),
        ("[transitions]\nk = 4", r"\[transitions.k\] input should be less than or equal to 3"),
        ("[transitions]\nnovelty_days = 0", r"\[transitions.novelty_days"),
        ('[transitions]\nnovelty_days = "never"', r"\[transitions.novelty_days"),
        ('[http]\norigins = ["shop.example"]', r"\[http.origins.0\].*'shop.example' is no origin"),
        ('[http]\norigins = ["https://shop.example/"]', r"\[http.origins.0\].*no slash at the end"),
        ('[http]\norigins = ["*", "null"]', r"\[http.origins.1\]"),
        ('[http]\nhosts = ["rec.internal", "::1", "[::1]", "rec.internal:80"]', r"\[http.hosts.3\].*ports"),
        ("[http]\noldest_event_days = 0", r"\[http.oldest_event_days\]"),
        ("[counts]\nwindow_days = 0", r"\[counts.window_days"),
        ("[counts]\nhalf_lives = []", r"\[counts.half_lives"),
        ("[counts]\nhalf_lives = [0]", r"\[counts.half_lives"),
        ("[counts]\ntransition_half_life = inf", r"\[counts.transition_half_life"),
        ("[counts]\nfit_windows = -1", r"\[counts.fit_windows"),
        ("[evidence]\nwindow_days = 0", r"\[evidence.window_days"),
        ('[planner]\nkind = "gpt"', r"\[planner.kind\]"),
        ("[table]\nmax_churn = 0", r"\[table.max_churn\]"),
        ("[transitions", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as error:
        load(written(tmp_path, text))
    assert "freshet.toml" in str(error.value)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(written(tmp_path, "[transitions]\nk = 9\n[table]\nwidth = 0\nwidht = 3\n"))
    for name in ("transitions.k", "table.width", "table.widht"):
        assert f"[{name}]" in error.value.message


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not found") as error:
        load(tmp_path / "freshet.toml")
    assert "freshet init" in error.value.hint
    (tmp_path / "freshet.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(tmp_path / "freshet.toml")


def test_a_sequence_model_and_a_ranker_are_used_where_torch_is_needed_anyway() -> None:
    def used(text: str) -> bool:
        found = parse(text, "here").sequence.use
        assert parse(text.replace("[sequence]", "[ranker]"), "here").ranker.use == found
        return found

    assert Config().sequence.use
    assert used('[planner]\nkind = "transformers"\nmodel = "m"')
    assert not used('[planner]\nkind = "counts"')
    assert not used('[planner]\nkind = "fake"\n[sequence]\nseed = 3')
    assert used('[planner]\nkind = "counts"\n[sequence]\nuse = true')
    assert not used("[sequence]\nuse = false")
