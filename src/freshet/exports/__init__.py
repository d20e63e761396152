"""Giving releases away: to places that others read, and word of them to a webhook.

    given       a release as rows, ids, descriptions and items
    deliveries  which release each configured target has, what failed, what is due; `state` keeps it
    outbox      what a webhook is told, queued before it is sent

Nothing here fails a run: what could not be given is recorded and tried again by the next one.
"""
