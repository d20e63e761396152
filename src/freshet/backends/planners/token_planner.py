"""The planner on a model that is read token by token, elsewhere or by another library."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from freshet.backends.planners import token_search
from freshet.backends.planners.bulk import trie
from freshet.backends.planners.local_planner import among_options
from freshet.backends.planners.token_search import Question, TokenReader
from freshet.backends.planners.tokenisation import Tokenisation, check_room
from freshet.core.errors import PlannerError, PlannerGone
from freshet.core.ports import Abilities, Planner
from freshet.core.prompts import names
from freshet.core.types import Interests, Prompt, Ranking, Usage


class TokenPlanner(Planner):
    """Answers as `LocalPlanner` does on the same model, up to the rounding of whoever runs it.

    Args:
        reader: reads the model.
        words: how the model's texts become tokens.
        interests: what to rank; in the order of `Ranking.successors`.
        mode: `description` or `label`, what the model writes for an interest.
        version: identity of the model, of who runs it, of the names and the beam.
        abilities: of the model.
        beam: branches of the trie of names followed per prompt and level.
        note: what a person should read before it is used.

    Raises:
        PlannerError: the tokenizer can't tell two interests apart, doesn't know a word, or cuts up a label.
    """

    def __init__(
        self,
        reader: TokenReader,
        words: Tokenisation,
        interests: Interests,
        mode: str,
        version: str,
        abilities: Abilities,
        beam: int = 16,
        note: str = "",
    ) -> None:
        self._reader = reader
        self._words = words
        self._version = version
        self._abilities = abilities
        self._note = note
        self._gone = ""
        self.beam = beam
        completions = words.answers(names(interests.descriptions, mode), mode)
        self._trie = trie.build(completions)
        self._labels = np.array([tokens[0] for tokens in completions], np.int64)

    @property
    def version(self) -> str:
        return self._version

    @property
    def abilities(self) -> Abilities:
        return self._abilities

    @property
    def note(self) -> str:
        return self._note

    def rank(self, prompts: Sequence[Prompt], top: int) -> Ranking:
        narrow = any(prompt.options for prompt in prompts)
        width = self._trie.size if narrow else min(top, self._trie.size)
        if not self._trie.branches:
            only = np.zeros((len(prompts), min(top, self._trie.size)))
            return Ranking(only.astype(np.int16), only.astype(np.float32))
        if self._gone:
            raise PlannerGone(self._gone)
        found = token_search.search(self._reader, self._trie, self._tokens(prompts), self.beam, width)
        self._gone = found.gone
        broken = np.flatnonzero(np.isnan(found.scores).any(axis=1))
        if len(broken):
            raise PlannerError(
                f"the model's scores for context {prompts[broken[0]].context} are not finite",
                hint="the weights are damaged, or the precision that they are run in is too coarse",
            )
        successors, logp = token_search.best(found.scores, width)
        if found.gone and (successors < 0).all():
            raise PlannerGone(found.gone)
        failed = tuple(sorted(found.failures.items()))
        ranking = Ranking(successors, logp, found.usage, failed, found.gone)
        return among_options(ranking, prompts, top) if narrow else ranking

    def size(self, prompts: Sequence[Prompt]) -> Usage:
        """Tokens and requests if the beam is full at every level, which is the most it can be."""
        usage = Usage()
        if not prompts or not self._trie.branches:
            return usage
        lengths = sum(map(len, self._tokens(prompts)))
        first = 0
        for count in self._trie.levels:
            level = self._trie.branches[first : first + count]
            first += count
            visits = min(self.beam, count)
            path = sum(len(branch.path) for branch in level) / count
            asked = visits * len(prompts)
            requests = max(self._reader.requests(asked, len(branch.tokens)) for branch in level)
            read = round(visits * (lengths + len(prompts) * path))
            usage += Usage(read + asked, written=asked, requests=requests)
        return usage

    def generate(self, prompts: Sequence[Prompt]) -> list[str]:
        room = self._trie.longest + 2  # enough to see that an answer goes on too long
        written = self._reader.write(self._tokens(prompts), room, self._words.end, self._decoded)
        return [text.strip() for text in written]

    def label_mass(self, prompts: Sequence[Prompt]) -> NDArray[np.float64]:
        if not self._abilities.labels:
            return super().label_mass(prompts)
        return self._reader.mass([Question(tokens, self._labels) for tokens in self._tokens(prompts)])

    def _decoded(self, tokens: list[int]) -> str:
        return str(self._words.tokenizer.decode(tokens))

    def _tokens(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Tokens of each prompt, checked to leave room for an answer."""
        tokens = self._words.prompts(prompts)
        check_room(prompts, tokens, self._trie.longest, self._reader.limit)
        return tokens
