"""The tuner of a model whose folder is here and whose weights a server reads: nothing is trained."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from freshet.backends.http_json import JsonClient, Refusal
from freshet.backends.planners import model_folder
from freshet.backends.planners.endpoint.endpoint_tuner import EndpointSettings
from freshet.backends.planners.endpoint.probe import failure
from freshet.backends.planners.endpoint.spending import Spending
from freshet.backends.planners.endpoint.token_card import TokenCard, read_token_card
from freshet.backends.planners.endpoint.token_probe import context_of, find_dialect, spells_alike
from freshet.backends.planners.endpoint.token_server import TokenServer
from freshet.backends.planners.endpoint.token_wire import DIALECTS, dialect_of
from freshet.backends.planners.libraries import need_local
from freshet.backends.planners.token_planner import TokenPlanner
from freshet.backends.planners.tokenisation import Tokenisation
from freshet.core.errors import ConfigError
from freshet.core.ports import Abilities, Planner, Progress, Tuner, TuningJob, TuningPlan, silent
from freshet.core.prompts import names
from freshet.core.types import Interests, TuningReport

CODE = 1
"""Raised when the same settings give another card."""

TOKENIZER = "tokenizer"
"""Folder of the model folder that keeps the tokenizer."""


class TokenTuner(Tuner):
    """Probes a server that serves a checkpoint whose folder is here, and opens planners on it.

    Args:
        settings: of the server and the model.
        folder: of the checkpoint: one that `freshet finetune` wrote, or any causal language model. Only its
            tokenizer and what it says about itself are read.
        spending: budgets that all planners of this tuner share.
        beam: branches of the trie of names followed per prompt and level.
    """

    def __init__(self, settings: EndpointSettings, folder: Path, spending: Spending, beam: int = 16) -> None:
        self.settings = settings
        self.folder = folder
        self.spending = spending
        self.beam = beam

    @property
    def trains(self) -> bool:
        return False

    @property
    def recipe(self) -> str:
        """Of the address, the model's name, and the bytes of the folder."""
        if not self.folder.is_dir():
            return ""
        parts = [self.settings.endpoint.rstrip("/"), self.settings.model, model_folder.content(self.folder)]
        return f"tokens {CODE} {json.dumps(parts)}"

    def check(self, plan: TuningPlan) -> None:
        need_local("transformers", "tokenizers")
        card = self._tuned()
        if card is None:
            if plan.mode == "label":
                raise ConfigError(
                    f"[planner] mode = 'label': {self.folder} was not tuned by Freshet, so it has no labels",
                    hint='set mode = "description", or [planner] tokenizer to a folder that was',
                )
        elif card.mode != plan.mode:
            raise ConfigError(
                f"[planner] mode is {plan.mode!r}, and {self.folder} was tuned to write {card.mode}s",
                hint=f'set mode = "{card.mode}"',
            )
        elif plan.descriptions and card.interests != len(plan.descriptions):  # none before they are formed
            raise ConfigError(
                f"{self.folder} was tuned for {card.interests} interests, here are {len(plan.descriptions)}",
                hint="tune a model on this workspace and serve that",
            )
        model_folder.load_tokenizer(self.folder)

    def tune(self, job: TuningJob, into: Path, progress: Progress = silent) -> TuningReport:
        one, tokenizer, tuned = self.settings, model_folder.load_tokenizer(self.folder), self._tuned()
        chat = tuned is not None and tuned.chat
        if tuned is not None and tuned.template != job.template:
            raise ConfigError(
                f"{self.folder} was tuned on version {tuned.template} of the prompts' wording, which is "
                f"{job.template} here",
                hint="set [planner] template as it was then",
            )
        words = Tokenisation.of(tokenizer, chat)
        answers = words.answers(names(job.interests.descriptions, job.mode), job.mode)
        used = np.unique(np.concatenate([np.array(answer) for answer in answers]))
        client = self._client(one.endpoint, 1)
        try:
            limit = context_of(client, one.model)
            dialect, usage = find_dialect(client, one.model, answers[0], used[:2].tolist())
            root = self._client(one.endpoint.rstrip("/").removesuffix("/v1"), 1)
            spelled = spells_alike(root, one.model, tokenizer, answers[0][:-1])
        except Refusal as refusal:
            raise failure(client, refusal) from None
        broken = "\N{REPLACEMENT CHARACTER}"
        pieces = [token for token in used.tolist() if broken in tokenizer.decode([token])]
        if pieces and not dialect.pieces:
            raise ConfigError(
                f"{dialect.name} at {client.base} tells nothing of tokens that are only a part of a letter, "
                f"which {len(pieces)} tokens of the descriptions are",
                hint='tune with [planner] mode = "label", or serve the model with vLLM',
            )
        if spelled is False:
            raise ConfigError(
                f"model {one.model} at {client.base} spells tokens in another way than {self.folder}",
                hint="serve the folder that [planner] tokenizer names",
            )
        self.spending.used += usage
        card = TokenCard(
            client.base,
            one.model,
            dialect.name,
            min((known for known in (limit, model_folder.positions(self.folder)) if known), default=0),
            job.mode,
            tuned is not None and tuned.relative,
            model_folder.content(self.folder),
            chat,
            spelled,
        )
        tokenizer.save_pretrained(into / TOKENIZER)
        card.write(into)
        progress(1, 1)
        return TuningReport(0, 0.0, (), usage, str(card), card.relative)

    def version(self, model: Path, interests: Interests) -> str:
        card = read_token_card(model)
        decides = [card.server, card.model, card.dialect, card.mode, card.relative, card.content, self.beam]
        text = json.dumps([*decides, *names(interests.descriptions, card.mode)])
        return f"tokens-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def abilities(self, model: Path, interests: Interests) -> Abilities:  # noqa: ARG002
        return read_token_card(model).abilities

    def open(self, model: Path, interests: Interests) -> TokenPlanner:
        card = read_token_card(model)
        return self._planner(card, model / TOKENIZER, interests, self.version(model, interests), str(card))

    def preview(self, interests: Interests) -> Planner:
        """A planner that tells what asking would cost before anything was asked, even a probe."""
        tuned, one = self._tuned(), self.settings
        card = TokenCard(
            one.endpoint,
            one.model,
            DIALECTS[0].name,
            model_folder.positions(self.folder),
            "description" if tuned is None else tuned.mode,
            relative=False,
            content="",
            chat=tuned is not None and tuned.chat,
        )
        return self._planner(card, self.folder, interests, "preview")

    def _planner(
        self, card: TokenCard, tokenizer: Path, interests: Interests, version: str, note: str = ""
    ) -> TokenPlanner:
        one = self.settings
        server = TokenServer(
            self._client(card.server, one.concurrency),
            card.model,
            dialect_of(card.dialect),
            card.limit or None,
            one.concurrency,
            self.spending,
        )
        words = Tokenisation.of(model_folder.load_tokenizer(tokenizer), card.chat)
        return TokenPlanner(server, words, interests, card.mode, version, card.abilities, self.beam, note)

    def _tuned(self) -> model_folder.Card | None:
        """What `freshet finetune` wrote about the folder; None where it didn't make it."""
        written = (self.folder / model_folder.CARD).exists()
        return model_folder.read_card(self.folder) if written else None

    def _client(self, base: str, connections: int) -> JsonClient:
        return JsonClient(base, self.settings.api_key_env, self.settings.timeout, connections, silences=2)
