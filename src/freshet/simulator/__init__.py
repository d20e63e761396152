"""A SIMULATED world to try Freshet on: people with drifting tastes, themes that trend, items that appear.

Everything it writes says so: nothing here was measured on real people.
"""

from freshet.simulator.generation import SIMULATED, WorldReport, generate
from freshet.simulator.world import World, truth

__all__ = ["SIMULATED", "World", "WorldReport", "generate", "truth"]
