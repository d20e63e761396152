"""Statistics of experiments, as pure functions.

`Moments` are all that is kept of an arm's users; `effect` compares two of them, `always_valid` gives an
interval that holds however often one looks, `holm` takes several metrics together, `sample_ratio` says
whether to read them; `plan` says how long an experiment takes, and `ips`, `self_normalised` and
`doubly_robust` what logged propensities say without one.
"""
