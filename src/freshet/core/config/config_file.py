"""The whole configuration, read from a `freshet.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from freshet.core.config.alerts_section import AlertsConfig
from freshet.core.config.backup_section import BackupConfig
from freshet.core.config.canary_section import CanaryConfig
from freshet.core.config.content_section import ContentConfig
from freshet.core.config.dashboard_section import DashboardConfig
from freshet.core.config.experiment_sections import (
    ExperimentsConfig,
    PricesConfig,
)
from freshet.core.config.export_section import ExportConfig
from freshet.core.config.log_sections import Events, InterestsConfig, TransitionsConfig
from freshet.core.config.model_sections import (
    CountsConfig,
    EvidenceConfig,
    GatesConfig,
    InferenceConfig,
    PlannerConfig,
    RankerConfig,
    SequenceConfig,
    TableConfig,
    TuningConfig,
)
from freshet.core.config.privacy_sections import PrivacyConfig, RetentionConfig
from freshet.core.config.ray_section import RayConfig
from freshet.core.config.schedule_section import ScheduleConfig
from freshet.core.config.screen_section import ScreenConfig
from freshet.core.config.section import Section
from freshet.core.config.serving_sections import (
    FeedbackConfig,
    HttpConfig,
    LiveConfig,
    ServingConfig,
)
from freshet.core.config.stream_section import StreamConfig
from freshet.core.config.telemetry_section import TelemetryConfig
from freshet.core.config.tracking_section import TrackingConfig
from freshet.core.config.users_section import UsersConfig
from freshet.core.errors import ConfigError

_DECIDING = (
    *("interests", "content", "transitions", "counts", "evidence", "planner", "tuning", "gates", "inference"),
    *("users", "table", "sequence", "ranker", "schedule", "live", "feedback", "screen"),
)
"""Sections that decide what is made."""

_PRIVATE = {"endpoint", "api_key_env", "request"}
"""Keys of theirs that say where a server is and what is sent to it."""

_DEEP = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){64}""")
"""A key of so many parts; with thousands, reading the file would take minutes."""
_LARGEST = 2**53
"""Larger whole numbers are not exact as floats."""
_MOST, _LONGEST = 20, 600
"""Problems that one message names, and characters of each."""
_SYNTAX = 'sections are such as [events], keys below them such as count = 3 or name = "text", each once'


class Config(Section):
    """All of `freshet.toml`."""

    executor: Literal["local", "ray"] = Field(
        "local", description="where the heavy parts of a run are computed: here, or on the cluster of [ray]"
    )
    events: Events = Events()
    stream: StreamConfig = StreamConfig.model_validate({})
    interests: InterestsConfig = InterestsConfig()
    content: ContentConfig = ContentConfig.model_validate({})
    transitions: TransitionsConfig = TransitionsConfig()
    counts: CountsConfig = CountsConfig()
    evidence: EvidenceConfig = EvidenceConfig()
    planner: PlannerConfig = PlannerConfig.model_validate({})
    tuning: TuningConfig = TuningConfig()
    gates: GatesConfig = GatesConfig()
    inference: InferenceConfig = InferenceConfig()
    users: UsersConfig = UsersConfig()
    table: TableConfig = TableConfig()
    sequence: SequenceConfig = SequenceConfig()
    ranker: RankerConfig = RankerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    live: LiveConfig = LiveConfig()
    feedback: FeedbackConfig = FeedbackConfig()
    serving: ServingConfig = ServingConfig()
    http: HttpConfig = HttpConfig()
    experiments: ExperimentsConfig = ExperimentsConfig()
    canary: CanaryConfig = CanaryConfig()
    export: ExportConfig = ExportConfig()
    prices: PricesConfig = PricesConfig()
    ray: RayConfig = RayConfig.model_validate({})
    tracking: TrackingConfig = TrackingConfig()
    dashboard: DashboardConfig = DashboardConfig.model_validate({})
    alerts: AlertsConfig = AlertsConfig.model_validate({})
    backup: BackupConfig = BackupConfig.model_validate({})
    telemetry: TelemetryConfig = TelemetryConfig.model_validate({})
    privacy: PrivacyConfig = PrivacyConfig.model_validate({})
    retention: RetentionConfig = RetentionConfig.model_validate({})
    screen: ScreenConfig = ScreenConfig.model_validate({})

    def deciding(self) -> dict[str, Any]:
        """Settings that decide what is made and are not at their default, by `section.key`, as JSON has them.

        No addresses, and nothing that is sent to a server: they may be shown to others.
        """
        given = self.model_dump(mode="json", exclude_defaults=True, include=set(_DECIDING))
        return {
            f"{section}.{key}": value
            for section in _DECIDING
            for key, value in given.get(section, {}).items()
            if key not in _PRIVATE
        }

    @model_validator(mode="before")
    @classmethod
    def _torch_by_planner(cls, given: Any) -> Any:
        """Use what torch trains where it is needed anyway, unless the file says otherwise (decision 12)."""
        planner = given.get("planner", {}) if isinstance(given, dict) else None
        if not isinstance(planner, dict):
            return given
        local = planner.get("kind", "scratch") in ("scratch", "transformers")
        found = dict(given)
        for name in ("sequence", "ranker"):
            section = found.get(name, {})
            if isinstance(section, dict) and "use" not in section:
                found[name] = {**section, "use": local}
        return found

    @model_validator(mode="after")
    def _who_fine_tunes(self) -> Self:
        """Hosted jobs make a model that is asked in OpenAI's protocol for answers that are written."""
        planner = self.planner
        if self.tuning.hosted and planner.kind == "openai":
            if planner.batch not in ("", "openai"):
                raise ValueError(f'[tuning] hosted does not go with [planner] batch = "{planner.batch}"')
            if planner.answers == "tokens":
                raise ValueError('[tuning] hosted does not go with [planner] answers = "tokens"')
        return self

    @model_validator(mode="after")
    def _money_has_a_price(self) -> Self:
        """A limit of money holds nothing back where tokens cost nothing."""
        prices, planner = self.prices, self.planner
        priced = prices.per_million_tokens or prices.per_million_tokens_written
        trained = self.tuning.hosted and prices.per_million_tokens_trained
        if planner.kind == "openai" and planner.max_money_per_run and not (priced or trained):
            raise ValueError(
                "[planner] max_money_per_run needs the server's price in [prices] per_million_tokens: "
                "without it nothing costs money, and nothing would be held back"
            )
        return self

    @model_validator(mode="after")
    def _what_is_read_is_kept(self) -> Self:
        """Days that a refresh or a tuning reads must not be dropped."""
        kept, counts = self.retention.events_days, self.counts
        novelty, window, windows = self.transitions.novelty_days, counts.window_days, counts.fit_windows
        needed = {
            "[transitions] novelty_days": novelty if isinstance(novelty, int) else 0,
            "[counts] window_days and fit_windows": (
                window * (windows + 1) if isinstance(window, int) and isinstance(windows, int) else 0
            ),
            "[tuning] every_days": self.tuning.every_days,
        }
        for name, days in needed.items():
            if 0 < kept <= days:
                raise ValueError(f"[retention] events_days = {kept} is too few: {name} reads {days} days")
        return self

    @model_validator(mode="after")
    def _encoder_is_chosen(self) -> Self:
        """Interests can't be formed by an encoder where none is chosen."""
        if self.interests.text_vectors == "encoder" and self.content.encoder == "tfidf":
            raise ValueError(
                '[interests] text_vectors = "encoder" needs one, such as [content] encoder = "wordllama"'
            )
        return self


def load(path: Path) -> Config:
    """Read and check a `freshet.toml`.

    Raises:
        ConfigError: the file is missing, is not TOML, or holds an unknown key or a bad value (all named).
    """
    return parse(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a `freshet.toml`.

    Raises:
        ConfigError: the file is missing, can't be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, UnicodeEncodeError):  # the last: no folder has such a name
        raise ConfigError(f"{path} not found", hint="create a workspace with `freshet init`") from None
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}", hint="see to its permissions") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", hint="save it as UTF-8") from None


def parse(text: str, where: str) -> Config:
    """Check the text of a `freshet.toml`; `where` names it in errors.

    Raises:
        ConfigError: it is not TOML, or holds unknown keys or bad values (the first 20 are named).
    """
    try:
        if _DEEP.search(text):
            raise RecursionError
        data = tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{where} is nested too deep", hint=_SYNTAX) from None
    except (
        ValueError,
        OverflowError,
    ) as error:  # also numbers of thousands of digits, which are no error of syntax
        raise ConfigError(f"{where} is not valid TOML: {error}", hint=_SYNTAX) from None
    if large := [*_large(data, ())]:
        raise ConfigError(
            f"{where}: {'; '.join(f'{_place(keys)}is too large a number' for keys in large[:_MOST])}",
            hint="whole numbers have sixteen digits at most",
        )
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        issues = error.errors()
        told = [f"{_place(issue['loc'])}{issue['msg'].lower()}"[:_LONGEST] for issue in issues[:_MOST]]
        if more := len(issues) - len(told):
            told.append(f"and {more} more")
        raise ConfigError(
            f"{where}: {'; '.join(told)}", hint="docs/reference/configuration.md lists the keys"
        ) from None


def _large(value: object, keys: tuple[int | str, ...]) -> Iterator[tuple[int | str, ...]]:
    """Keys of whole numbers that nothing can count with."""
    if isinstance(value, int) and abs(value) > _LARGEST:
        yield keys
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _large(one, (*keys, key))


def _place(keys: tuple[int | str, ...]) -> str:
    """Where a problem is; '' where it is between sections, which its message names."""
    return f"[{'.'.join(map(str, keys))}] " if keys else ""
