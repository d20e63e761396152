"""How interests are put into words for the planner that is configured.

`step` chooses the wording: the short one, or a template with titles of typical items.
"""
