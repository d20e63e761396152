"""The bulk engine: scores of a closed set of names after very many prompts (docs/explanation/engine.md).

`trie` the names as a tree of choices · `sharing` which prompts have a beginning in common · `attention`
several batches of keys attended to at once · `reading` what the search asks, `shared` and `plain` who
answers it, fast and by any model · `search` walks the trie · `engine` puts them together.
"""
