"""Giving releases away: to places that others read, and word of them to a webhook.

    given       a release as rows, ids, descriptions and items
    deliveries  giving each configured target what it lacks; `state` keeps which release it has, and what
                failed, `delivery_lines` say so
    outbox      what a webhook is told, queued before it is sent

Nothing here fails a run: what could not be given is recorded and tried again by the next one.
"""
