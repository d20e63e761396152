"""Mutated files, settings, artifacts and requests: what breaks?

    python benchmarks/fuzz.py --files 50000 --configs 60000 --artifacts 30000 --requests 50000 --seed 1 --json

Case n of a seed is always the same.

files       events and items (CSV, TSV, JSONL, DAT, Parquet, gzip) must give a report or an `InputError` or
            `ConfigError`; rows read must be rows added + duplicates + quarantined (of items: items +
            duplicates + quarantined), and, for text without quotes and the like, the lines that are there
configs     `freshet.toml` over all sections and keys must be settings or a `ConfigError` that names the
            file, the key and what to do, and repeats no password of an address; settings that are taken
            must do for a command in an empty workspace, whatever stands in the environment
artifacts   files of a SIMULATED workspace in which everything was used, and of its backup, are damaged,
            half of them with checksums made to fit; commands, a recommender, pages of the dashboard and
            `restore` must answer, or refuse with a hint. What is behind a checksum that doesn't fit must be
            found by `doctor`, and changes no answer silently
requests    a real server on a SIMULATED workspace: a request that is framed well must be answered, any
            other answered or hung up on; never with a status 500, a traceback in the log, or without an end
pages       the same for three of ten requests, which go to the dashboard: pages, forms with tokens, cookies
            and keys, parts that htmx asks for, streams of runs

Each gives `n`, `outcomes` or `statuses`, `failures` by kind, and `examples` with the case to repeat; the
first three `ms_per_case`, the others `healthy` at the end and `mb_grown`; `load` is that of the machine at
the beginning. A case is repeated by its number:

    python benchmarks/fuzz.py --files 0 --configs 1 --artifacts 0 --requests 0 --seed 1 --first 1234
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import fuzz_artifacts
import fuzz_configs
import fuzz_files
import fuzz_requests
from shared import folder, parse, parser, tell

WORK = {"files": fuzz_files.work, "configs": fuzz_configs.work, "artifacts": fuzz_artifacts.work}


def main() -> None:
    """Try, print, and fail where anything broke."""
    made = parser(__doc__)
    made.add_argument("--files", type=int, default=50_000)
    made.add_argument("--configs", type=int, default=50_000)
    made.add_argument("--artifacts", type=int, default=30_000)
    made.add_argument(
        "--shop", type=Path, help="workspace and backup of --artifacts; made where there is none"
    )
    made.add_argument("--requests", type=int, default=50_000)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--first", type=int, default=0, help="number of the first case")
    made.add_argument("--keep", type=Path, help="folder for what broke something")
    made.add_argument("--worker", help="be the process that tries this kind of case; for this program")
    options = parse(made, files=60, configs=150, artifacts=40, requests=300)
    if options.worker:
        more = [options.shop] if options.worker == "artifacts" else []
        WORK[options.worker](options.seed, options.first, getattr(options, options.worker), *more)
        return
    with folder(options.keep) as kept:
        kept.mkdir(parents=True, exist_ok=True)
        found = {"seed": options.seed, "first": options.first, "load": round(os.getloadavg()[0], 1)}
        numbers = (options.seed, options.first)
        if options.files:
            found["files"] = fuzz_files.fuzz(*numbers, options.files, kept)
        if options.configs:
            found["configs"] = fuzz_configs.fuzz(*numbers, options.configs, kept)
        if options.artifacts:
            found["artifacts"] = fuzz_artifacts.fuzz(
                *numbers, options.artifacts, kept, options.shop, everything=not options.quick
            )
        if options.requests:
            found |= fuzz_requests.fuzz(*numbers, options.requests, kept)
    tell(options, found, lambda: json.dumps(found, indent=1))
    sys.exit(any(part["failures"] for part in found.values() if isinstance(part, dict)))


if __name__ == "__main__":
    main()
