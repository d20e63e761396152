"""The library: `from freshet import Recommender`."""
