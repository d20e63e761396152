"""The card of a model that a server reads token by token, as its model folder records it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from freshet.backends.planners.model_folder import CARD
from freshet.core.errors import ArtifactError
from freshet.core.ports import Abilities

KIND = "openai-tokens"


@dataclass(frozen=True, slots=True)
class TokenCard:
    """What was proven about a server, and what is known of the model that it should serve.

    Attributes:
        server: base URL.
        model: what the server calls it.
        dialect: how it is asked for log-probabilities of tokens (`token_wire.DIALECTS`).
        limit: tokens that a text may have; 0 = not known.
        mode: `description` or `label`, what the model writes for an interest.
        relative: whether its answers are relative to popularity.
        chat: whether prompts go through the tokenizer's chat template.
        content: hash of the checkpoint's folder, with its weights where they are there.
        spelled: whether the server spells tokens as that folder's tokenizer; None = it doesn't say.
    """

    server: str
    model: str
    dialect: str
    limit: int
    mode: str
    relative: bool
    content: str
    chat: bool = False
    spelled: bool | None = None

    @property
    def abilities(self) -> Abilities:
        """Those of a local planner on the same model."""
        return Abilities(generates=True, labels=self.mode == "label", relative=self.relative, options=True)

    def __str__(self) -> str:
        spelled = "" if self.spelled else ", which does not say how it spells tokens"
        return (
            f"server {self.server}, model {self.model}: exact probabilities of {self.mode}s, token by token, "
            f"as {self.dialect} gives them{spelled}"
        )

    def write(self, folder: Path) -> None:
        """Write the card into a model folder."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {"kind": KIND, **asdict(self), "note": str(self)}
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
        (folder / CARD).write_text(text + "\n", encoding="utf-8")


def read_token_card(folder: Path) -> TokenCard:
    """The card in a model folder.

    Raises:
        ArtifactError: it is missing or is no such card.
    """
    path = folder / CARD
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        kind = content.pop("kind")
        content.pop("note", None)
        if kind != KIND:
            raise ValueError(f"it is of kind {kind!r}")
        return TokenCard(**content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{path} can't be read as the card of a server: {error}",
            hint="`freshet doctor --repair` moves a damaged model aside; `freshet finetune` probes again",
        ) from None
