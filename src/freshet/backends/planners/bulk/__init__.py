"""The bulk engine: scores of a closed set of names after very many prompts (docs/explanation/engine.md).

`trie` the names as a tree of choices · `sharing` which prompts have a beginning in common ·
`compiled_attention` and `attention` what rows share, attended to without copies on CPUs and on accelerators ·
`last_layer` what need not be computed · `search` walks the trie · `shared` (on CPUs with `compiled_reading`)
and `plain` read for it, fast and by any model · `engine` puts them together.
"""
