"""Fine-tuning as ever, and vLLM to read what was tuned."""

from __future__ import annotations

from pathlib import Path

from freshet.backends.planners import model_folder
from freshet.backends.planners.local_planner import version_of
from freshet.backends.planners.lora import LoraTuner
from freshet.backends.planners.token_planner import TokenPlanner
from freshet.backends.planners.tokenisation import Tokenisation
from freshet.backends.planners.vllm_offline import VllmReader, need_vllm
from freshet.core.ports import Planner, TuningPlan
from freshet.core.types import Interests


class VllmTuner(LoraTuner):
    """A `LoraTuner` whose planners run in vLLM."""

    def check(self, plan: TuningPlan) -> None:
        need_vllm()
        super().check(plan)

    def version(self, model: Path, interests: Interests) -> str:
        """Another than that of torch, whose sums are rounded in another way."""
        return f"vllm-{version_of(model, interests, self.beam)}"

    def open(self, model: Path, interests: Interests) -> Planner:
        card = model_folder.read_card(model)
        return TokenPlanner(
            VllmReader(model, model_folder.positions(model) or None),
            Tokenisation.of(model_folder.load_tokenizer(model), card.chat),
            interests,
            card.mode,
            self.version(model, interests),
            self.abilities(model, interests),
            self.beam,
        )
