"""What runs by itself: when it is due, what holds it back, and the loop that runs it.

The ledger is the only truth. What was attempted, how it ended and what it cost is read from the records of
runs, whoever made them (`attempts`); whether a job is due, waits for a retry or is done follows from them and
the clock (`outlook`), and so does what is left of a month's money (`monthly_budget`). A job that can't begin
leaves no record, however long that lasts. `jobs` says what there is to run and `scheduled_commands` runs it,
`pausing` keeps a person's word, `leadership` lets one of several schedulers act, `scheduler` is the loop,
`forecast` plays it ahead.
"""
