"""A SIMULATED world to try Freshet on: people with drifting tastes, themes that trend, items that appear.

Everything it writes says so: nothing here was measured on real people.
"""

from freshet.simulator.generation import KnownAnswers, WorldReport, generate, known_answers
from freshet.simulator.simulated_log import SIMULATED
from freshet.simulator.world import World, truth

__all__ = ["SIMULATED", "KnownAnswers", "World", "WorldReport", "generate", "known_answers", "truth"]
