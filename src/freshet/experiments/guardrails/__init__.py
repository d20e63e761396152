"""Guardrails: whether an arm does harm, and stopping it where it does."""
