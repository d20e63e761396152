"""The workspace's configuration: `freshet.toml`, typed, documented per field, unknown keys rejected.

Every field's description is what `freshet init` writes beside it and what docs/reference/configuration.md
lists.
"""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from freshet.core.errors import ConfigError

Positive = Annotated[int, Field(ge=1)]
HalfLife = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Days = Positive | Literal["ever"]
Share = Annotated[float, Field(gt=0, lt=1)]
Auto = Literal["auto"]
TimeFormat = (
    Literal[
        "auto", "day-first", "month-first", "iso", "days", "hours", "minutes", "seconds", "milliseconds",
        "microseconds", "nanoseconds", "excel",
    ]
    | Annotated[str, Field(pattern="%")]
)  # fmt: skip

MAX_STEPS = "one training takes so many optimiser steps at most; auto = by its rows and its recipe"
MAX_SECONDS = "last resort: a training still going ends here, and says so; set max_steps instead"


MISSING = (
    "None", "NULL", "nan", "NaT", "NA", "N/A", "#N/A", "<NA>", "<null>", "(null)", "nil", "undefined",
    "\\N", "-",
)  # fmt: skip
"""How tools write that there is no value."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Columns(_Section):
    """Which column of the source holds what; empty means: the source has none."""

    user: str = Field("user_id", description="who")
    item: str = Field("item_id", description="what")
    time: str = Field(
        "timestamp", description="when: a timestamp, a date and clock as text, or a number since 1970"
    )
    value: str = Field("value", description="how much: rating, watch share, quantity; '' = 1 for every event")
    id: str = Field(
        "",
        description="the client's event id, if it has one; else (user, item, time) is the identity",
    )


class ItemColumns(_Section):
    """Which column of the item file holds what."""

    item: str = Field("item_id", description="the item's id, as in the events")
    title: str = Field("title", description="short name; '' = none")
    text: str = Field("text", description="everything worth reading about the item; '' = title only")


class Events(_Section):
    """Where the log comes from, and what counts as an engagement."""

    files: tuple[str, ...] = Field(
        (),
        description="event files (Parquet, CSV, JSON), folders or globs of them, such as a MovieLens folder",
    )
    items: str = Field(
        "",
        description="item file, folder or glob; empty = what the event folders hold, else interests from "
        "co-engagement only",
    )
    positive: str = Field(
        "", description="positive rule, such as `value >= 7`; empty = every event is an engagement"
    )
    timezone: str = Field("UTC", description="zone of timestamps that carry none")
    time_format: TimeFormat = Field(
        "auto",
        description="how times are written: auto = what the file itself proves; day-first, month-first; iso; "
        "days, hours, minutes, seconds, milliseconds, microseconds, nanoseconds since 1970; "
        "excel (days since 1900); or as strptime has it, such as `%d-%m-%Y %H:%M`",
    )
    encoding: str = Field(
        "auto",
        description="of text files that are not UTF-8, such as `cp1251`; auto = UTF-16, or Windows-1252 "
        "where it makes sense, else refused",
    )
    missing: tuple[str, ...] = Field(
        MISSING, description="words that stand for no id, in any case of letters; blank ids always do"
    )
    columns: Columns = Columns()
    item_columns: ItemColumns = ItemColumns()


class InterestsConfig(_Section):
    """How items become interests."""

    count: int = Field(100, ge=2, le=4096, description="how many interests (size of the working level)")
    taxonomy: str = Field("", description="item column to use as interests instead of clustering")
    co_engagement: float = Field(
        0.5, ge=0, le=1, description="weight of who-engaged-what beside text in the item vectors"
    )
    seed: int = Field(0, description="seed of clustering")


class TransitionsConfig(_Section):
    """What a transition is."""

    k: int = Field(2, ge=1, le=3, description="context length: a user's k most recent distinct interests")
    novelty_days: Days = Field(
        30,
        description="H: an interest is novel if not engaged within H days; 'ever' = never before",
    )
    seed: int = Field(0, description="seed of the shuffle among interests of one step")


class CountsConfig(_Section):
    """How counts are weighted and fitted; `auto` follows from the pace of the log."""

    window_days: Positive | Auto = Field(
        "auto", description="length of a held-out window; auto = 7, 28 or 91, by events per day"
    )
    fit_windows: Positive | Auto = Field(
        "auto", description="held-out windows the weights are fitted on; auto = 4 to 12"
    )
    half_lives: Annotated[tuple[HalfLife, ...], Field(min_length=1)] | Auto = Field(
        "auto",
        description="half-lives of recent popularity, in days, weighed against each other; "
        "auto = 0.25 to 16 windows",
    )
    transition_half_life: HalfLife | Auto = Field(
        "auto",
        description="half-life of transition counts, in days; auto = 8 to 128 windows, by held-out windows",
    )
    fit_examples: int = Field(20_000, ge=100, description="at most so many held-out transitions are used")


class EvidenceConfig(_Section):
    """What prompts say about recent transitions."""

    level: Literal["auto", "instance", "global", "none"] = Field(
        "auto",
        description="evidence for this very context, one list for all, or none; "
        "auto = for this very context where held-out windows show that it helps the planner, else none",
    )
    rank_by: Literal["frequency", "trend"] = Field(
        "frequency", description="most frequent successors, or largest rise"
    )
    window_days: Positive | Auto = Field("auto", description="how far back evidence looks; auto = 8 windows")
    top: int = Field(
        3, ge=1, le=20, description="successors named in a prompt (global level: ten times as many)"
    )
    min_support: float = Field(5.0, ge=1, description="fewest user counts behind an entry's context")
    user_cap: int = Field(2, ge=1, description="one user counts at most so often per context and window")
    hysteresis: float = Field(
        0.5, ge=0, description="relative change of share that is needed to alter a prompt"
    )

    @property
    def forced(self) -> Literal["instance", "global"]:
        """The level at which prompts carry evidence, whether or not it helps."""
        return "global" if self.level == "global" else "instance"


class PlannerConfig(_Section):
    """Which planner ranks successors."""

    kind: Literal["scratch", "transformers", "counts", "fake"] = Field(
        "scratch",
        description="scratch = small model built from catalogue and log, no world knowledge; "
        "transformers = any causal LM; counts = no model",
    )
    model: str = Field(
        "",
        description="folder of the base checkpoint, or its name on the Hugging Face hub once downloaded "
        "(kind = transformers); a folder is known by its bytes",
    )
    mode: Literal["description", "label"] = Field(
        "description",
        description="write descriptions (the paper) or one token per interest; "
        "scratch writes labels unless told otherwise: without world knowledge, words only cost it accuracy",
    )
    device: str = Field("auto", description="auto, cpu, cuda")

    @property
    def called(self) -> str:
        """What results call it: only what read more than this log is a language model."""
        return {
            "scratch": f"the small {self.mode} transformer",
            "transformers": f"the language model {self.model}",
            "counts": "plain counts",
            "fake": "the fake planner",
        }[self.kind]

    @model_validator(mode="before")
    @classmethod
    def _mode_by_kind(cls, given: Any) -> Any:
        """The default of `mode` follows from `kind`, so that the rest of the code sees one of two values."""
        if isinstance(given, dict) and "mode" not in given and given.get("kind", "scratch") == "scratch":
            return {**given, "mode": "label"}
        return given


class TuningConfig(_Section):
    """The slow path."""

    every_days: int = Field(28, ge=1, description="the slow path is due after so many days")
    examples_per_label: int = Field(
        0, ge=0, description="contexts per successor; 0 = 10 for pretrained models, all for scratch"
    )
    max_examples: int = Field(60_000, ge=100, description="at most so many transitions, the latest ones")
    evidence_share: float = Field(
        0.5, ge=0, le=1, description="share of examples whose prompt carries evidence"
    )
    epochs: float = Field(0.0, ge=0, description="passes over the examples; 0 = chosen by kind of planner")
    learning_rate: float = Field(0.0, ge=0, description="0 = chosen by kind of planner")
    batch_size: int = Field(
        0, ge=0, description="examples per optimiser step; 0 = 256 for scratch, 64 for pretrained models"
    )
    lora_rank: int = Field(16, ge=0, description="LoRA rank (kind = transformers); 0 = train all weights")
    refit: bool = Field(
        True,
        description="once judged and weighed on held-out windows, tune anew on these as well for the table",
    )
    max_steps: Positive | Auto = Field("auto", description=MAX_STEPS)
    max_seconds: float = Field(3600.0, gt=0, description=MAX_SECONDS)
    seed: int = Field(0, description="seed of initialisation and order")


class GatesConfig(_Section):
    """What a tuned model must reach."""

    exact_match: float = Field(
        0.90,
        ge=0,
        le=1,
        description="least share of unconstrained outputs that equal a description",
    )
    label_mass: float = Field(
        0.90,
        ge=0,
        le=1,
        description="least share of the next token's probability, unconstrained, that lies on labels",
    )
    recall: float = Field(
        0.015, ge=0, le=1, description="least test recall; raised to 2/N where chance is higher"
    )
    gain_over_counts: Literal["weigh", "halt"] = Field(
        "weigh",
        description="where the planner adds nothing to counts: leave it to each table to weigh it, which "
        "leaves it out as long as that is so, or wait for a person",
    )
    sample: int = Field(2000, ge=10, description="held-out transitions judged, at most")


class InferenceConfig(_Section):
    """Which contexts the planner is asked about, and how."""

    contexts: Literal["all", "observed"] = Field(
        "all", description="every ordered context, or those seen in the log"
    )
    beam: int = Field(16, ge=1, description="branches of the description trie followed per prompt")
    top: int = Field(64, ge=1, description="successors kept per row")
    chunk: int = Field(
        4096,
        ge=1,
        description="contexts asked together and committed; those of a chunk share what they begin with",
    )
    calibration_prompts: int = Field(
        6000, ge=100, description="held-out prompts used to fit the planner's weight"
    )


class TableConfig(_Section):
    """What is published, and what may be offered."""

    width: int = Field(64, ge=1, le=1024, description="successors per row: min(N, width)")
    max_churn: float = Field(
        0.5,
        gt=0,
        le=1,
        description="halt if more than this share of top-5 successors changed, and more than twice the floor",
    )
    blocked: tuple[str, ...] = Field((), description="interests (id or description) never offered")
    allowed: tuple[str, ...] = Field((), description="if not empty, nothing else is offered")
    withdrawn: tuple[str, ...] = Field((), description="interests no longer offered")
    sensitive: tuple[str, ...] = Field(
        (), description="offered only to contexts that hold a sensitive interest already"
    )


class SequenceConfig(_Section):
    """The sequence model over a user's ten most recent interests; trained as often as the planner."""

    use: bool = Field(
        False,
        description="whether its score enters the mixture, where it pays; training needs torch",
    )
    max_examples: int = Field(
        200_000, ge=100, description="at most so many transitions are learned from, the latest ones"
    )
    max_steps: Positive | Auto = Field("auto", description=MAX_STEPS)
    max_seconds: float = Field(3600.0, gt=0, description=MAX_SECONDS)
    seed: int = Field(0, description="seed of initialisation and order")


class RankerConfig(_Section):
    """The ranker of items within an interest; trained as often as the planner."""

    use: bool = Field(
        False,
        description="whether releases carry one, so that answers hold items; training needs torch",
    )
    max_examples: int = Field(
        200_000, ge=100, description="at most so many engagements are learned from, the latest ones"
    )
    max_steps: Positive | Auto = Field("auto", description=MAX_STEPS)
    max_seconds: float = Field(3600.0, gt=0, description=MAX_SECONDS)
    seed: int = Field(0, description="seed of initialisation and order")


class ScheduleConfig(_Section):
    """When the fast path is due."""

    policy: Literal["fixed", "drift", "cost"] = Field(
        "fixed",
        description="fixed = every `refresh_days`; drift = when what people move on to has changed beyond "
        "chance; cost = when staleness is expected to cost more than a refresh",
    )
    refresh_days: int = Field(
        3,
        ge=1,
        description="the fast path is due after so many days; "
        "drift refreshes at most half as often on average",
    )
    drift_alpha: float = Field(
        0.004,
        ge=0.001,
        lt=1,
        description="chance of a needless refresh at one look in an unchanging world (policy = drift)",
    )
    value_per_hit: float = Field(
        0.0001,
        gt=0,
        allow_inf_nan=False,
        description="money that a next interest among the first five is worth (policy = cost)",
    )


class LiveConfig(_Section):
    """The live overlay: what people take up now, against what was usual when the table was made."""

    use: bool = Field(True, description="whether live signals enter the score, where they pay")
    half_lives: Annotated[tuple[HalfLife, ...], Field(min_length=1)] | Auto = Field(
        "auto",
        description="half-lives of live counts in days, ascending; auto = half a window",
    )
    user_cap: int = Field(
        20, ge=1, le=65_535, description="moves of one user that count on one day; more change nothing"
    )
    most_lift: float = Field(
        10.0,
        gt=1,
        allow_inf_nan=False,
        description="the odds of an interest are multiplied or divided by this at most: the bound of a burst",
    )
    burst_hours: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="half-life of the counts in which bursts are looked for"
    )


class FeedbackConfig(_Section):
    """What people did with what they were shown, as lifts that choose the best of the first proposals."""

    use: bool = Field(
        False,
        description="whether releases use it, where it pays; arms `hybrid-feedback` do in any case",
    )
    proposals: int = Field(5, ge=2, le=64, description="so many of the best proposals are re-ordered")
    days: Positive = Field(28, description="how far back outcomes are looked at")
    hours: float = Field(
        6.0,
        gt=0,
        le=720,
        description="an outcome that comes later after the showing doesn't count",
    )


class ServingRule(_Section):
    """What may not be shown to requests that say something of themselves, such as a region."""

    attribute: str = Field(min_length=1, description="name of the request's attribute")
    values: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="the rule holds for requests with one of these"
    )
    blocked: tuple[str, ...] = Field((), description="interests (id or description) not shown then")
    allowed: tuple[str, ...] = Field((), description="if not empty, no other interests are shown then")
    blocked_items: tuple[str, ...] = Field((), description="items not shown then")


class ServingConfig(_Section):
    """How releases are served; read again when the file changes."""

    state: str = Field(
        "lmdb",
        description="where users' histories live: lmdb = in the workspace's folder `state`; "
        "or the URL of a Redis server, which several replicas share",
    )
    state_gb: float = Field(8.0, gt=0, description="the most that state may grow to (lmdb)")
    explore: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of requests whose interests are drawn instead of the best taken",
    )
    temperature: float = Field(
        0.5, gt=0, description="of the draw: 1 = by the fused probabilities, lower = nearer to the best"
    )
    diversity: float = Field(
        0.3,
        ge=0,
        description="nats that an interest loses if it is the same as one above it, by likeness in between",
    )
    seed: int = Field(0, description="seed of the draws")
    blocked_items: tuple[str, ...] = Field((), description="items never shown")
    rules: tuple[ServingRule, ...] = Field(
        (), description="`[[serving.rules]]`: what is not shown to some requests, by an attribute of theirs"
    )


def _host(text: str) -> str:
    with suppress(ValueError):
        ip_address(text.strip("[]"))
        return text
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", text):
        raise ValueError(f"{text!r} is no name or address of a host; ports don't belong there")
    return text


def _origin(text: str) -> str:
    if text != "*" and not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9_.\[\]:-]+", text):
        raise ValueError(f"{text!r} is no origin such as 'https://shop.example' (no slash at the end)")
    return text


Host = Annotated[str, AfterValidator(_host)]
"""A name or an address, without a port."""
Origin = Annotated[str, AfterValidator(_origin)]
"""Where web pages come from: a scheme, a host and maybe a port, without a path; `*` = from anywhere."""


class HttpConfig(_Section):
    """Limits of `freshet serve`; read when it starts."""

    body_bytes: int = Field(1_048_576, ge=1024, description="largest body of a request")
    batch: int = Field(100, ge=1, le=1000, description="most questions of one `/v1/explore:batch`")
    events: int = Field(1000, ge=1, le=10_000, description="most events of one `/v1/events`")
    waiting: int = Field(
        20_000, ge=1, description="events that may wait to be written; what comes beyond gets a 503"
    )
    seconds: float = Field(
        5.0,
        gt=0,
        le=300,
        description="within which a body must arrive, a batch be answered, and events be written",
    )
    connections: int = Field(1000, ge=1, description="requests under way at once; further ones get a 503")
    open_connections: int = Field(
        2000,
        ge=1,
        description="connections at once, idle ones included; the one that was idle longest makes way. "
        "Fewer where the system gives the process fewer file descriptors",
    )
    idle_seconds: float = Field(
        75.0,
        gt=0,
        le=3600,
        description="how long a connection without a request stays: longer than balancers keep theirs",
    )
    header_bytes: int = Field(32_768, ge=1024, le=1_048_576, description="largest head of a request")
    headers: int = Field(100, ge=10, le=1000, description="most headers of a request")
    hosts: list[Host] = Field(
        [],
        description="names of a server without API keys (`Host`), beside those of loopback and `--host`",
    )
    origins: list[Origin] = Field(
        [],
        description="of web pages of other sites that may ask (CORS), such as `https://shop.example`; "
        "`*` = all pages",
    )
    oldest_event_days: float = Field(
        30.0,
        gt=0,
        le=40_000,
        description="how far back events may lie; what is older is for `freshet import`",
    )
    drain_seconds: float = Field(
        3.0,
        ge=0,
        le=300,
        description="how long a server that was told to stop still answers, with `/readyz` saying 503",
    )
    log_requests: bool = Field(True, description="a line of log for every request, else for failures only")


class MetricConfig(_Section):
    """A metric of one's own; a name of the ready set replaces that one."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_]{0,39}$", description="small letters, digits and _")
    counts: str = Field("", description="rule: which events count; empty = all")
    of: str = Field(
        "user",
        min_length=1,
        description="what is divided by: user = users exposed, impression = answers shown to them, "
        "or a rule = events that pass it",
    )
    better: Literal["higher", "lower"] = Field("higher", description="which way is good")
    attributed: bool = Field(
        True,
        description="only events that name an impression; false = whatever exposed users did from then on",
    )


class GuardrailConfig(_Section):
    """A metric that no arm may harm."""

    metric: str = Field(min_length=1, description="name of the metric")
    tolerance: float = Field(0.0, ge=0, lt=1, description="relative harm that is put up with")
    alpha: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="chance to stop an experiment that harms nothing, however often one looks; "
        "each guardrail of each arm gets an equal part of it",
    )


class ExperimentsConfig(_Section):
    """What experiments are judged by; rules are those of `[events] positive`, over any column of events."""

    satisfied: str = Field(
        "", description="rule: which reactions are satisfied; empty = those that pass the positive rule"
    )
    dissatisfied: str = Field(
        "", description="rule: which reactions are dissatisfied; empty = those that fail the positive rule"
    )
    negative: str = Field(
        "", description="rule: which events are negative interactions, such as hiding; empty = not measured"
    )
    smallest_effect: Share | Auto = Field(
        "auto",
        description="relative effect worth finding: always-valid intervals are narrowest where it would be "
        "found; auto = by how uncertain the first day leaves a metric; never changed after the start",
    )
    attribution_hours: float = Field(
        168.0,
        gt=0,
        le=2160,
        description="an outcome that comes later after the answer it names was shown doesn't count",
    )
    metrics: tuple[MetricConfig, ...] = Field(
        (), description="`[[experiments.metrics]]`: metrics beside the ready set"
    )
    guardrails: tuple[GuardrailConfig, ...] = Field(
        (), description="`[[experiments.guardrails]]`: what no arm may harm; an arm that does is stopped"
    )


class PricesConfig(_Section):
    """Price book: money per unit of measured cost."""

    currency: str = Field("USD", description="label only")
    per_hour: float = Field(0.10, ge=0, description="one hour of this machine")
    per_million_tokens: float = Field(0.0, ge=0, description="for endpoints that charge by token")


class Config(_Section):
    """All of `freshet.toml`."""

    events: Events = Events()
    interests: InterestsConfig = InterestsConfig()
    transitions: TransitionsConfig = TransitionsConfig()
    counts: CountsConfig = CountsConfig()
    evidence: EvidenceConfig = EvidenceConfig()
    planner: PlannerConfig = PlannerConfig.model_validate({})
    tuning: TuningConfig = TuningConfig()
    gates: GatesConfig = GatesConfig()
    inference: InferenceConfig = InferenceConfig()
    table: TableConfig = TableConfig()
    sequence: SequenceConfig = SequenceConfig()
    ranker: RankerConfig = RankerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    live: LiveConfig = LiveConfig()
    feedback: FeedbackConfig = FeedbackConfig()
    serving: ServingConfig = ServingConfig()
    http: HttpConfig = HttpConfig()
    experiments: ExperimentsConfig = ExperimentsConfig()
    prices: PricesConfig = PricesConfig()

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


def load(path: Path) -> Config:
    """Read and check a `freshet.toml`.

    Raises:
        ConfigError: the file is missing, is not TOML, or holds an unknown key or a bad value (all named).
    """
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"{path} not found", hint="create a workspace with `freshet init`") from None
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}", hint="see to its permissions") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def parse(text: str, where: str) -> Config:
    """Check the text of a `freshet.toml`; `where` names it in errors.

    Raises:
        ConfigError: it is not TOML, or holds an unknown key or a bad value (all named).
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not valid TOML: {error}") from None
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(
            f"[{'.'.join(str(part) for part in issue['loc'])}] {issue['msg'].lower()}"
            for issue in error.errors()
        )
        raise ConfigError(
            f"{where}: {problems}", hint="docs/reference/configuration.md lists the keys"
        ) from None
