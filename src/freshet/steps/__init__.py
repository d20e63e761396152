"""The steps of the pipeline: each calls one stage, names its artifact by what went in, and skips what exists.

`sources` events and items · `knowledge` interests and transitions as known before a moment · `counting` the
fitted counts · `prompting` evidence, prompts and planner rows · `late` a planner
that is loaded when it is asked · `tuning` the slow path · `sequencing` a sequence model for the mixture ·
`publishing` the table, its checks and the release · `churn` whether a person should look before it serves ·
`cadence` whether the fast path is due.
"""
