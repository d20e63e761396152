"""Tests of the live overlay."""
