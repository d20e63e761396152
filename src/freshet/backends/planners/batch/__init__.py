"""Planners that are asked in files: requests are written as batches, and answered hours or days later.

`layout` says how a request becomes a line of a file, and a line of a results file an answer, for each
provider; `request_files` writes and splits the files, `batch_index` remembers which request is in which,
`result_files` reads results, `batches` takes them in, `batch_planner` is the planner, and the modules
`*_service` speak to providers' servers.
"""
