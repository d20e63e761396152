"""Sections on what is learned and published: from [counts] to [schedule]."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from freshet.core.config.section import MAX_SECONDS, MAX_STEPS, Auto, HalfLife, Positive, Section


class CountsConfig(Section):
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


class EvidenceConfig(Section):
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


class PlannerConfig(Section):
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
    use: Literal["table", "prior"] = Field(
        "table",
        description="table = it ranks what follows every context of a table; "
        "prior = it is asked once per interest, and sparse counts are shrunk to its answers "
        "(a model that is not trained on this log)",
    )

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


class TuningConfig(Section):
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


class GatesConfig(Section):
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


class InferenceConfig(Section):
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


class TableConfig(Section):
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


class SequenceConfig(Section):
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


class RankerConfig(Section):
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


class ScheduleConfig(Section):
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
