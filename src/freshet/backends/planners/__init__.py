"""Planners: whatever ranks the next interest (a language model, `scratch`, counts, a fake)."""
