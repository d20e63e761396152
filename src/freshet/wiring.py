"""The only place that chooses backends from the configuration; of those it imports the chosen ones alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from freshet.backends.local_store import LocalStore
from freshet.backends.object_stores.source_objects import BucketObjects
from freshet.core.config import Config, ContentConfig, load, parse, read_text
from freshet.core.errors import ConfigError, FreshetError, MissingExtra
from freshet.core.masking import without_secret
from freshet.core.ports import Encoder, SourceStore, Tuner, UserStore
from freshet.core.time import Clock, system_clock
from freshet.core.types import AsOf
from freshet.storage import rooms
from freshet.storage.durable import make_folder
from freshet.storage.ledger import Quiet, Reporter
from freshet.storage.remote.bucket_store import BucketStore
from freshet.storage.user_ids import people_of, settle
from freshet.storage.vector_cache import CachedEncoder
from freshet.storage.workspace import Giving, Workspace
from freshet.storage.workspace_format import check_readable
from freshet.wiring_buckets import bucket_of
from freshet.wiring_executor import executor_for, ranker_through, sequencer_through, tuner_through
from freshet.wiring_telemetry import trace_process
from freshet.wiring_tracking import tell

if TYPE_CHECKING:
    from freshet.backends.planners.batch.batch_service import Service
    from freshet.backends.planners.batch.batches import Batches
    from freshet.backends.planners.endpoint.endpoint_tuner import EndpointSettings
    from freshet.backends.planners.endpoint.spending import Spending
    from freshet.serving import Recommender

SETTINGS = "freshet.toml"


def open_workspace(root: Path, reporter: Reporter | None = None) -> Workspace:
    """Open the workspace in a folder that holds a `freshet.toml`."""
    watching = reporter or Quiet()
    bucket = bucket_of(root, watching)
    check_readable(root)
    config, store = load(root / SETTINGS), LocalStore(root)
    encoder = encoder_for(config.content, root)
    trace_process(config.telemetry, root)
    executor, beforehand = executor_for(config, root), config.planner.use == "prior"
    tuner = tuner_through(executor, make_tuner(root, config, watching.say), config)
    return Workspace(
        root,
        config,
        store if bucket is None else BucketStore(store, bucket),
        None if beforehand else tuner,
        watching,
        sequencer=sequencer_through(executor, config),
        ranker=ranker_through(executor, config),
        encoder=CachedEncoder(encoder, root) if encoder is not None else None,
        prior_tuner=untrained(tuner, config) if beforehand else None,
        after=tell if config.tracking.used else None,
        bucket=bucket,
        executor=executor,
        giving=_giving(root, config),
        sources=sources(watching.say),
    )


def _giving(root: Path, config: Config) -> Giving | None:
    """Who gives releases to others; None where nobody wants them."""
    if not config.export.to and not config.export.webhook:
        return None
    from freshet.wiring_exports import deliveries_of

    return deliveries_of(root, config)


def untrained(tuner: Tuner | None, config: Config) -> Tuner:
    """The tuner of a planner that may be asked before anything is counted.

    Raises:
        ConfigError: there is no planner, or it would be trained on the log.
    """
    if tuner is not None and not tuner.trains:
        return tuner
    kind = config.planner.kind
    why = (
        "is no model" if tuner is None else "is trained on the log, so it can't be asked before there is one"
    )
    raise ConfigError(
        f'[planner] use = "prior" needs a model that knows something beforehand; kind = "{kind}" {why}',
        hint='choose a kind that is not trained here, such as a model behind an endpoint, or use = "table"',
    )


def sources(say: Callable[[str], None] = lambda _: None) -> SourceStore:
    """Where event and item files in buckets are read from; `say` is told how far long copies have come."""
    return BucketObjects(say)


def open_sandbox(ws: Workspace, start: AsOf) -> Workspace:
    """A workspace inside a workspace for what replays from one moment on make: it reads the same log.

    Nothing of it is ever published, and production never copies from it.
    """
    root = rooms.room(ws.root, str(start))
    make_folder(root)
    return replace(ws, root=root, store=LocalStore(root), log=ws.root, after=None, bucket=None, giving=None)


def make_tuner(root: Path, config: Config, say: Callable[[str], None]) -> Tuner | None:
    """The tuner of the configured planner; None for plain counts.

    Raises:
        ConfigError: `kind = "transformers"` without a model.
    """
    planner, beam = config.planner, config.inference.beam
    if planner.kind == "counts":
        return None
    if planner.kind == "fake":
        from freshet.backends.planners.fake import FakeTuner

        return FakeTuner()
    if planner.kind == "scratch":
        from freshet.backends.planners.scratch import ScratchTuner

        return ScratchTuner(beam=beam, device=planner.device)
    if planner.kind == "openai":
        return _endpoint_tuner(root, config, say)
    if not planner.model:
        raise ConfigError(
            '[planner] kind = "transformers" needs a model',
            hint="set [planner] model to the folder of a causal language model",
        )
    from freshet.backends.planners.lora import LoraTuner
    from freshet.backends.planners.training_fit import Wishes
    from freshet.backends.planners.vllm_tuner import VllmTuner

    base = _checkpoint(root, planner.model)
    tuner = VllmTuner if planner.engine == "vllm" else LoraTuner
    tuning = config.tuning
    wishes = Wishes(tuning.precision, tuning.gradient_checkpointing, tuning.micro_batch)
    return tuner(base, planner.device, beam, called=planner.model, wishes=wishes, chat=planner.chat)


def _endpoint_tuner(root: Path, config: Config, say: Callable[[str], None]) -> Tuner:
    """The tuner of a model behind a server: asked at once or in batches, fine-tuned there or not."""
    from freshet.backends.planners.batch.batch_tuner import BatchTuner
    from freshet.backends.planners.endpoint.endpoint_tuner import EndpointTuner
    from freshet.backends.planners.endpoint.token_tuner import TokenTuner
    from freshet.backends.planners.hosted.hosted_tuner import HostedTuner

    planner, settings, spending = config.planner, _endpoint_settings(config), _spending(config)
    if planner.answers == "tokens":
        if config.tuning.hosted:
            raise ConfigError(
                '[tuning] hosted does not go with [planner] answers = "tokens"',
                hint="leave it out: such a model was tuned before",
            )
        folder = Path(_checkpoint(root, planner.tokenizer)).absolute()
        return TokenTuner(settings, folder, spending, config.inference.beam)

    def asked(settings: EndpointSettings) -> Tuner:
        if planner.batch:
            return BatchTuner(settings, planner.batch, root, spending)
        return EndpointTuner(settings, root, spending)

    if not config.tuning.hosted:
        return asked(settings)
    return HostedTuner(asked, settings, root, spending, config.tuning.every_days, say)


def _endpoint_settings(config: Config) -> EndpointSettings:
    from freshet.backends.planners.endpoint.endpoint_tuner import EndpointSettings

    planner = config.planner
    return EndpointSettings(
        planner.endpoint,
        planner.model,
        planner.api_key_env,
        planner.answers,
        planner.concurrency,
        planner.timeout_seconds,
        planner.tries,
        planner.shortlist,
        planner.request,
    )


def _spending(config: Config) -> Spending:
    """What a command may spend on a server."""
    from freshet.backends.planners.endpoint.spending import Spending

    planner, prices = config.planner, config.prices
    return Spending(
        planner.max_tokens_per_run,
        planner.max_money_per_run,
        prices.per_million_tokens,
        prices.per_million_tokens_written or prices.per_million_tokens,
        prices.currency,
        prices.per_million_tokens_trained,
    )


def open_batches(root: Path) -> Batches:
    """The batches of the workspace in a folder."""
    from freshet.backends.planners.batch.batches import Batches
    from freshet.backends.planners.endpoint.answer_store import AnswerStore

    return Batches(root, AnswerStore(root))


def batch_service(config: Config) -> Service:
    """The batch API of the configured planner.

    Raises:
        ConfigError: it is not asked in batches.
    """
    if not config.planner.batch:
        raise ConfigError(
            "[planner] batch is not set: nothing is asked in batches",
            hint='set batch = "openai", "gemini" or "anthropic" beside kind = "openai"',
        )
    from freshet.backends.planners.batch.batch_tuner import service_of

    return service_of(config.planner.batch, _endpoint_settings(config))


def encoder_for(config: ContentConfig, root: Path) -> Encoder | None:
    """The encoder of `[content]`, which is loaded when it is first asked; None for the interests' own words.

    Args:
        root: of the workspace, from which a folder is named.
    """
    if config.encoder == "tfidf":
        return None
    if config.encoder == "wordllama":
        from freshet.backends.encoders.wordllama_encoder import WordLlamaEncoder

        return WordLlamaEncoder()
    if config.encoder == "transformers":
        from freshet.backends.encoders.transformers_encoder import TransformersEncoder

        return TransformersEncoder(_checkpoint(root, config.model), config.batch_size)
    from freshet.backends.encoders.openai_encoder import OpenAIEncoder

    return OpenAIEncoder(
        config.model, config.endpoint, config.api_key_env, config.batch_size, config.timeout_seconds
    )


def _checkpoint(root: Path, model: str) -> str:
    """A folder from the workspace or absolute, where there is one; else the name as it is."""
    named = Path(model)
    local = root / (named.expanduser() if named.parts[:1] == ("~",) else named)
    return str(local.absolute()) if os.path.lexists(local) else model


def open_user_store(root: Path, config: Config) -> UserStore:
    """What serving remembers, by `[serving] state`: the folder `state` of the workspace, or a Redis server.

    Raises:
        ConfigError: it is neither.
        MissingExtra: Redis without its client.
        StateError: it can't be opened or reached.
    """
    where = config.serving.state
    if where == "lmdb":
        from freshet.backends.user_stores.lmdb_store import LmdbUserStore

        return LmdbUserStore(root / "state", config.serving.state_gb)
    if where.startswith(("redis://", "rediss://", "unix://")):
        return _redis(where)
    raise ConfigError(
        f'[serving] state is {without_secret(where)!r}, expected "lmdb" or the URL of a Redis server',
        hint='such as state = "redis://localhost:6379/0"',
    )


def existing_user_store(root: Path, config: Config) -> UserStore | None:
    """What serving remembers, None where it was never served."""
    never = config.serving.state == "lmdb" and not (root / "state" / "data.mdb").exists()
    return None if never else open_user_store(root, config)


def _redis(url: str) -> UserStore:
    try:
        from freshet.backends.user_stores.redis_store import RedisUserStore
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"state in Redis needs the package {error.name!r}", hint="pip install 'freshet[redis]'"
        ) from None
    return RedisUserStore(url)


class WatchedConfig:
    """The configuration in a `freshet.toml` as it is now; called again, it costs a look at the file.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] | None = None
        self._config = Config()

    def __call__(self) -> Config:
        """The same object until the file changes.

        Raises:
            ConfigError: the file is missing or wrong, or has become empty.
        """
        try:
            found = self._path.stat()
        except OSError as error:
            raise ConfigError(f"{self._path} can't be read: {error.strerror}") from None
        seen = found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
        if seen != self._seen:
            text = read_text(self._path)
            if self._seen is not None and not text.strip():  # as it is while an editor writes it anew
                raise ConfigError(
                    f"{self._path} has become empty: the settings of before stay",
                    hint="write the settings into another file and move it there; to serve with the "
                    "defaults, start the server again",
                )
            self._config = parse(text, str(self._path))
            self._seen = seen
        return self._config


def open_recommender(
    root: Path,
    reporter: Reporter | None = None,
    clock: Clock = system_clock,
    *,
    join: bool = True,
    worker: int = 0,
) -> Recommender:
    """A recommender on a workspace's current release, with the users' histories of its log.

    Args:
        clock: microseconds since 1970 (UTC), now; a simulated world has its own.
        join: whether to join the histories to the user store; else it is as a server left it.
        worker: number of this process among those of one server, from 0.

    Raises:
        NotServing: nothing has been published yet.
        ArtifactError: a part of the release is missing or damaged.
        StateError: the user store can't be opened.
    """
    from freshet.serving import Recommender, ReleasePool
    from freshet.serving.user_histories import remember
    from freshet.wiring_buckets import Followed

    ws = open_workspace(root, reporter)
    settle(root, ws.config.privacy, write=False)
    followed = None if ws.bucket is None else Followed(ws.bucket, ws.store)
    store = open_user_store(root, ws.config)
    if store.note:
        ws.reporter.say(store.note)
    try:
        settings = WatchedConfig(root / SETTINGS)
        releases = ReleasePool(
            ws.releases if followed is None else followed.releases,
            ws.store,
            settings if followed is None else followed.settings(settings),
            lambda opened: opened.catch_up(store.events, clock()),
            ws.experiments,
            lambda: people_of(root).finished,
        )
        for lost in releases.current.missing:
            ws.reporter.say(
                f"{lost} is missing or damaged: release {releases.current.release.number} serves without it"
            )
        if join:
            remember(ws, store)
    except FreshetError:
        store.close()
        raise
    if followed is not None:
        followed.start()
    stop = None if followed is None else followed.stop
    return Recommender(releases, store, clock, stop, partial(people_of, root), worker)
