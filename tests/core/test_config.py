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
        ('[content]\nencoder = "bert"', r"\[content.encoder\]"),
        (
            '[content]\nencoder = "transformers"',
            r"\[content\].*needs model: the folder of a sentence encoder",
        ),
        (
            '[planner]\nkind = "openai"\nmodel = "m"\nendpoint = "http://localhost/v1"\nanswers = "tokens"',
            r"\[planner\].*needs tokenizer: the folder of the model that is served",
        ),
        (
            '[planner]\nkind = "openai"\nmodel = "m"\nendpoint = "http://localhost/v1"\nmax_money_per_run = 1',
            r"max_money_per_run needs the server's price in \[prices\] per_million_tokens",
        ),
        ('[planner]\nengine = "vllm"', r"\[planner\].*goes with kind = \"transformers\""),
        ('[content]\nencoder = "openai"', r"\[content\].*needs model: what the server calls it"),
        (
            '[content]\nencoder = "openai"\nmodel = "m"',
            r"\[content\].*needs endpoint: expected a url such as",
        ),
        ('[content]\napi_key_env = "sk-123"', r"\[content.api_key_env\]"),
        ("[content]\nbatch_size = 0", r"\[content.batch_size\]"),
        ("[content]\ntimeout_seconds = 0", r"\[content.timeout_seconds\]"),
        (
            '[interests]\ntext_vectors = "encoder"',
            r"freshet.toml: value error, \[interests\] text_vectors = .*needs one",
        ),
        ("[transitions", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as error:
        load(written(tmp_path, text))
    assert "freshet.toml" in str(error.value)


@pytest.mark.parametrize(
    "endpoint",
    ["localhost:8000/v1", "ftp://host/v1", "https://", "http://host:port/v1", "https://host/v1?key=1", "http://[::1/v1", "/v1"],
)  # fmt: skip
def test_what_is_no_base_url_is_refused(tmp_path: Path, endpoint: str) -> None:
    text = f'[content]\nencoder = "openai"\nmodel = "m"\nendpoint = "{endpoint}"'
    with pytest.raises(ConfigError, match=r"\[content\].*expected a url such as https://api.openai.com/v1"):
        load(written(tmp_path, text))


def test_an_address_is_no_currency_and_is_not_repeated(tmp_path: Path) -> None:
    """A label is shown beside every amount."""
    with pytest.raises(ConfigError, match=r"prices\.currency") as told:
        load(written(tmp_path, '[prices]\ncurrency = "http://me:hunter2@host/v1"'))
    assert "hunter2" not in str(told.value)


def test_a_password_in_a_url_is_refused_and_not_repeated(tmp_path: Path) -> None:
    text = '[content]\nencoder = "openai"\nmodel = "m"\nendpoint = "https://me:hunter2@host/v1"'
    with pytest.raises(ConfigError, match="endpoint holds a user or password") as told:
        load(written(tmp_path, text))
    assert "hunter2" not in str(told.value)


def test_encoders_that_are_complete_are_taken() -> None:
    one = parse(
        '[content]\nencoder = "openai"\nmodel = "m"\nendpoint = "http://[::1]:80/v1/"\napi_key_env = ""',
        "here",
    )
    assert one.content.endpoint == "http://[::1]:80/v1/"
    assert (
        parse('[content]\nencoder = "wordllama"\n[interests]\ntext_vectors = "encoder"', "here").content.model
        == ""
    )


def test_what_decides_interests_is_as_it_was_where_words_do() -> None:
    """Artifacts of workspaces without an encoder keep their versions."""
    words = parse("[interests]\ncount = 7", "here").interests.deciding()
    assert words == {"count": 7, "taxonomy": "", "co_engagement": 0.5, "seed": 0}


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(written(tmp_path, "[transitions]\nk = 9\n[table]\nwidth = 0\nwidht = 3\n"))
    for name in ("transitions.k", "table.width", "table.widht"):
        assert f"[{name}]" in error.value.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = " + "[" * 50_000, "nested too deep"),
        ("x = " + "{a = " * 3_000, "nested too deep"),
        ("a" + ".a" * 200 + " = 1", "nested too deep"),  # 50,000 parts take the parser minutes
        ("x = 1" + "0" * 5_000, "not valid TOML"),
        ('[planner]\nbatch = ["openai"]', "planner.batch"),
        ("x", "not valid TOML"),
    ],
)
def test_what_no_parser_likes_is_refused_with_a_hint(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as refused:
        parse(text, "freshet.toml")
    assert refused.value.hint


def test_texts_with_many_dots_are_no_deep_keys() -> None:
    files = [f"events/part-{number}.of.100.csv" for number in range(300)]
    assert parse(f"[events]\nfiles = {files}", "freshet.toml").events.files == tuple(files)


def test_a_message_names_so_many_problems_and_counts_the_rest() -> None:
    text = "[canary]\n" + "".join(f"k{number} = {number}\n" for number in range(2_000))
    with pytest.raises(ConfigError, match=r"\[canary.k0\].*and 1980 more") as refused:
        parse(text, "freshet.toml")
    assert len(refused.value.message) < 2_000


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


@pytest.mark.parametrize(
    "text",
    [
        f"[schedule]\nrefresh_days = {10**400:x}".replace("= ", "= 0x"),
        f"[serving]\nseed = {2**53 + 1}",
        f"[experiments]\nmetrics = [{{name = 'a', counts = '', better = {2**60}}}]",
        "[schedule]\nrefresh_days = 36501",
        "[schedule]\ngc_days = 3000000",
        "[tuning]\nevery_days = 1000000000",
        "[transitions]\nnovelty_days = 1000000",
        "[retention]\nevents_days = 99999999",
        "[alerts]\nmodel_days = 1e9",
        "[alerts]\nlive_hours = 1e300",
        "[screen]\nage_days = 10000000",
    ],
)
def test_no_calendar_has_that_many_days_and_nothing_counts_with_that_many_digits(text: str) -> None:
    key = text.partition("\n")[2].partition(" ")[0]
    with pytest.raises(ConfigError, match=key) as refused:
        parse(text, "freshet.toml")
    assert refused.value.hint
