"""The stages of the pipeline, in order: events, interests, transitions, schedule, tuning, sequence, content,
evidence, inference, counts, table, users, live, items.

In each, `step.py` is what the pipeline calls, `format.py` how its artifact is read and written; the other
modules are pure functions of what they are given.
"""
