"""The bulk engine: scores of a closed set of names after very many prompts (docs/explanation/engine.md).

`trie` the names as a tree of choices · `sharing` which prompts have a beginning in common · `attention`
several batches of keys attended to at once · `search` walks the trie · `shared` and `plain` read for it, fast
and by any model · `engine` puts them together.
"""
