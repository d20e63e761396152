"""Tests of what is held back from counting."""
