"""Telling people where a promise of freshness is broken: once, again after hours, and when it is over.

    catalogue  every alert by name: which service level, how urgent, what to do first
    told       who was told of what, durable in the workspace
    look       one look at all levels, and what follows from it
    gauges     the same levels as numbers for `/metrics`

The scheduler and every server look; whoever looks first tells. Nothing here blocks a run or a request.
"""
