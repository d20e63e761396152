"""Sections on what is learned and published: from [counts] to [ranker]."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from freshet.core.config.endpoint_url import KEY_NAME, check_endpoint
from freshet.core.config.section import (
    LONGEST,
    MAX_SECONDS,
    MAX_STEPS,
    Auto,
    HalfLife,
    Positive,
    Section,
    SomeDays,
)


class CountsConfig(Section):
    """How counts are weighted and fitted; `auto` follows from the pace of the log."""

    window_days: SomeDays | Auto = Field(
        "auto", description="length of a held-out window; auto = 7, 28 or 91, by events per day"
    )
    fit_windows: SomeDays | Auto = Field(
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
    window_days: SomeDays | Auto = Field("auto", description="how far back evidence looks; auto = 8 windows")
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


PROVIDERS = {
    "openai": ("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "gemini": ("https://generativelanguage.googleapis.com/v1beta", "GEMINI_API_KEY"),
    "anthropic": ("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
}
"""Layout of batch files -> address and environment variable of the key of the provider it is called after."""

_DEFAULTS: dict[str, dict[str, Any]] = {
    "scratch": {"mode": "label"},
    "openai": {"template": "knowledge", "shortlist": 26},
}
"""Defaults of `[planner]` that differ by kind."""


class PlannerConfig(Section):
    """Which planner ranks successors."""

    kind: Literal["scratch", "transformers", "openai", "counts", "fake"] = Field(
        "scratch",
        description="scratch = small model built from catalogue and log, no world knowledge; "
        "transformers = any causal LM; openai = a model behind any server that speaks OpenAI's chat "
        "protocol; counts = no model",
    )
    model: str = Field(
        "",
        description="folder of the base checkpoint, or its name on the Hugging Face hub once downloaded "
        "(kind = transformers), a folder is known by its bytes; the server's name of the model "
        "(kind = openai)",
    )
    mode: Literal["description", "label"] = Field(
        "description",
        description="write descriptions (the paper) or one token per interest; "
        "scratch writes labels unless told otherwise: without world knowledge, words only cost it accuracy",
    )
    device: str = Field("auto", description="auto, cpu, cuda")
    chat: bool | Auto = Field(
        "auto",
        description="whether prompts go through the checkpoint's chat template (kind = transformers); "
        "auto = where it has one",
    )
    use: Literal["table", "prior"] = Field(
        "table",
        description="table = it ranks what follows every context of a table; "
        "prior = it is asked once per interest, and sparse counts are shrunk to its answers "
        "(a model that is not trained on this log)",
    )
    template: str = Field(
        "",
        description="words of prompts: empty = short ones, for models tuned here; knowledge = for models "
        "that follow instructions; else a file, from the workspace",
    )
    titles: int = Field(
        3,
        ge=0,
        le=5,
        description="typical items shown with an interest, by title, in templates and lists of options",
    )
    shortlist: int = Field(
        0,
        ge=0,
        le=60,
        description="the planner chooses among so many interests, the best by counts and content; 0 = all",
    )
    endpoint: str = Field(
        "", description="base URL of the server, such as `https://api.openai.com/v1` (kind = openai)"
    )
    api_key_env: str = Field(
        "OPENAI_API_KEY",
        pattern=KEY_NAME,
        description="environment variable that holds the server's key; '' or unset = no key is sent",
    )
    batch: Literal["", "openai", "gemini", "anthropic"] = Field(
        "",
        description="ask in files of requests, in this provider's layout, that are answered hours or days "
        "later at a lower price (kind = openai); '' = ask at once",
    )
    answers: Literal["auto", "letters", "list", "text", "tokens"] = Field(
        "auto",
        description="how the server is asked: letters = one token, read by log-probabilities; list = labels, "
        "best first, kept in form by a JSON schema; text = descriptions, checked; "
        "auto = the best of them that the server was found to support; tokens = without chat, exactly, token "
        "by token, for a model whose folder is here too (vLLM, llama.cpp)",
    )
    tokenizer: str = Field(
        "",
        description="folder of the checkpoint that the server serves, such as one that `freshet finetune` "
        "wrote (answers = tokens)",
    )
    engine: Literal["torch", "vllm"] = Field(
        "torch", description="what reads a tuned model here; vllm has to be installed (kind = transformers)"
    )
    concurrency: int = Field(16, ge=1, le=512, description="requests under way at once")
    timeout_seconds: float = Field(
        60.0, gt=0, allow_inf_nan=False, description="how long the server may keep silent"
    )
    tries: int = Field(
        2, ge=0, le=10, description="times that a prompt is asked again whose answer was no valid choice"
    )
    max_tokens_per_run: int = Field(
        0, ge=0, description="tokens that one command may use on a server; 0 = no limit"
    )
    max_money_per_run: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="money that they may cost, by `[prices]`; 0 = no limit"
    )
    request: dict[str, Any] = Field(
        {},
        description='what each request holds besides, such as `{reasoning_effort = "none"}` or '
        "`{chat_template_kwargs = {enable_thinking = false}}`",
    )

    @property
    def called(self) -> str:
        """What results call it: only what read more than this log is a language model."""
        return {
            "scratch": f"the small {self.mode} transformer",
            "transformers": f"the language model {self.model}",
            "openai": f"the language model {self.model}",
            "counts": "plain counts",
            "fake": "the fake planner",
        }[self.kind]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """A server has an address, and its model a name."""
        if self.kind == "openai":
            if self.batch and self.answers == "tokens":
                raise ValueError('batch does not go with answers = "tokens", which are read one by one')
            if not self.model:
                raise ValueError('kind = "openai" needs model: what the server calls it')
            check_endpoint(self.endpoint, 'kind = "openai"')
            if self.answers == "tokens" and not self.tokenizer:
                raise ValueError('answers = "tokens" needs tokenizer: the folder of the model that is served')
        if self.engine == "vllm" and self.kind == "scratch":
            raise ValueError('engine = "vllm" goes with kind = "transformers": scratch is too small for it')
        return self

    @model_validator(mode="before")
    @classmethod
    def _by_kind(cls, given: Any) -> Any:
        """Defaults that follow from `kind` and `batch`, so that the rest of the code sees plain values."""
        if not isinstance(given, dict):
            return given
        batch = given.get("batch")
        if isinstance(batch, str) and batch in PROVIDERS:  # a layout is of one provider
            endpoint, key = PROVIDERS[batch]
            given = {"endpoint": endpoint, "api_key_env": key, **given}
        kind = given.get("kind", "scratch")
        if not isinstance(kind, str) or given.get("answers") == "tokens":  # a tuned model, wherever it is
            return given
        return {**_DEFAULTS.get(kind, {}), **given}


class TuningConfig(Section):
    """The slow path."""

    every_days: int = Field(28, ge=1, le=LONGEST, description="the slow path is due after so many days")
    examples_per_label: int = Field(
        0, ge=0, description="contexts per successor; 0 = 10 for pretrained models, all for scratch"
    )
    max_examples: int = Field(60_000, ge=100, description="at most so many transitions, the latest ones")
    evidence_share: float = Field(
        0.5, ge=0, le=1, description="share of examples whose prompt carries evidence"
    )
    epochs: float = Field(
        0.0,
        ge=0,
        description="passes over the examples, fewer where labels are learned from earlier weights "
        "(kind = scratch); 0 = chosen by kind of planner",
    )
    learning_rate: float = Field(0.0, ge=0, description="0 = chosen by kind of planner")
    batch_size: int = Field(
        0, ge=0, description="examples per optimiser step; 0 = 256 for scratch, 64 for pretrained models"
    )
    lora_rank: int = Field(16, ge=0, description="LoRA rank (kind = transformers); 0 = train all weights")
    hosted: bool = Field(
        False,
        description="fine-tune by jobs of the server, where it has OpenAI's `/fine_tuning/jobs` "
        "(kind = openai); they cost money, and with refit there are two",
    )
    precision: Literal["auto", "bf16", "float32"] = Field(
        "auto",
        description="numbers that matrices are multiplied in (kind = transformers); "
        "auto = bf16 on GPUs that have it, else float32",
    )
    gradient_checkpointing: bool | Auto = Field(
        "auto",
        description="layers are computed twice instead of kept in memory (kind = transformers); "
        "auto = where few examples fit otherwise",
    )
    micro_batch: Positive | Auto = Field(
        "auto",
        description="examples read at once, a divisor of batch_size (kind = transformers); "
        "auto = as many as fit",
    )
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
    rows: Positive | Auto = Field(
        "auto",
        description="rows at most: every pair where they fit, else the busiest contexts of the log; "
        "auto = 2**29 / N, so all pairs of up to 812 interests",
    )
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
