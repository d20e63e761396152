"""Live experiments: who is shown what, what that changed, and when to stop.

`assignment` says which arm a user belongs to; `stats` are pure functions of users' sums; `measurement` reads
what was shown and what came of it; `guardrails` stop what does harm; `feedback` learns from reactions.
"""
