"""What a server was found to do, as the model folder records it: the card of a model that is not here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from freshet.backends.planners.endpoint.chat_wire import Dialect
from freshet.backends.planners.model_folder import CARD
from freshet.core.errors import ArtifactError

CHARACTERS = 3.0
"""Of a token, where the server doesn't count tokens: few, so that costs are not told too low."""


@dataclass(frozen=True, slots=True)
class ServerCard:
    """What was proven about a server and a model, and how it will be asked.

    Attributes:
        server: base URL.
        model: what the server calls it.
        form: how prompts are asked: `letters`, `decision`, `list` or `text`.
        alternatives: log-probabilities that it gives of a token; 0 = none.
        schema: whether it keeps to a JSON schema.
        decision: whether it has `/systemone`.
        listed: whether `/models` names the model; None = it has no such list.
        context: tokens of prompt and answer together, as `/models` tells; 0 = it doesn't.
        limited: whether it kept to the most tokens of an answer; None = it doesn't count them.
        characters: of a prompt for each token, as the server counts them; 0 = it doesn't.
        limit, temperature, system: of `Dialect`.
        request: what each request holds besides, by the settings.
        batch: layout of the files in which it is asked, and not probed; '' = it is asked at once.
    """

    server: str
    model: str
    form: str
    alternatives: int = 0
    schema: bool = False
    decision: bool = False
    listed: bool | None = None
    context: int = 0
    limited: bool | None = None
    characters: float = 0.0
    limit: str = "max_tokens"
    temperature: bool = True
    system: bool = True
    request: Mapping[str, Any] = field(default_factory=dict)
    batch: str = ""

    @property
    def dialect(self) -> Dialect:
        """How it wants to be asked."""
        return Dialect(self.limit, self.temperature, self.system, self.request)

    @property
    def per_token(self) -> float:
        """Characters for each token, for estimates."""
        return self.characters or CHARACTERS

    def __str__(self) -> str:
        probabilities = "no log-probabilities"
        if self.alternatives:
            probabilities = f"log-probabilities of {self.alternatives} alternatives"
        elif self.decision:
            probabilities = "probabilities of up to 26 options by /systemone"
        parts = [probabilities, "keeps to a JSON schema" if self.schema else "no JSON schema"]
        if self.context:
            parts.append(f"{self.context:,} tokens of context")
        if self.listed is False:
            parts.append("/models doesn't name the model")
        if self.limited is False:
            parts.append("writes more tokens than allowed")
        asked = {
            "letters": "asked for letters, read by log-probabilities",
            "decision": "asked for decisions",
            "list": "asked for a list of labels, by schema",
            "text": "asked for free text, which is checked",
        }[self.form]
        if self.batch:
            return f"server {self.server}, model {self.model}: not probed; {asked}, in batches ({self.batch})"
        return f"server {self.server}, model {self.model}: {', '.join(parts)}; {asked}"

    def write(self, folder: Path) -> None:
        """Write the card into a model folder."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {"kind": "openai", **asdict(self), "note": str(self)}
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
        (folder / CARD).write_text(text + "\n", encoding="utf-8")


def read_server_card(folder: Path) -> ServerCard:
    """The card in a model folder.

    Raises:
        ArtifactError: it is missing or is no card of a server.
    """
    path = folder / CARD
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        kind = content.pop("kind")
        content.pop("note", None)
        if kind != "openai":
            raise ValueError(f"it is of kind {kind!r}")
        return ServerCard(**content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{path} can't be read as the card of a server: {error}",
            hint="`freshet doctor --repair` moves a damaged model aside; `freshet finetune` probes again",
        ) from None
