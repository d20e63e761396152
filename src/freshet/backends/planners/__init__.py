"""Planners: whatever ranks the next interest (a causal LM, counts without an LLM, a fake for tests)."""
