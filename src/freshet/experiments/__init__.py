"""Experiments with people: who is shown what, what that changed, and when to stop.

`assignment` says which arm a user belongs to; `lifecycle` starts and stops; `stats` are pure functions of
users' sums; `measurement` compares arms by what was shown and what came of it; `guardrails` stop what does
harm; `feedback` re-orders proposals by reactions to earlier ones; `isolated_arms` keeps what the users of one
arm do out of the evidence of the others.
"""
