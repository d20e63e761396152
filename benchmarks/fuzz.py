"""Mutated files for every importer and mutated requests for the service: what breaks?

    python benchmarks/fuzz.py --files 50000 --requests 50000 --seed 1 --json

Case n of a seed is always the same. Files (events and items; CSV, TSV, JSONL, DAT, Parquet, gzip) must give a
report or an `InputError` or `ConfigError`; rows read must be rows added + duplicates + quarantined (of items:
items + duplicates + quarantined), and, for text without quotes and the like, the lines that are there.
Requests go to a real server on a SIMULATED workspace: one that is framed well must be answered, any other
answered or hung up on; never with a status 500, a traceback in the log, or without an end.

files       `n`, `ms_per_file`, `outcomes` by form; `failures` by kind, `examples` with the case to repeat
requests    `n`, `statuses`, `failures`, `examples`; `healthy` at the end, `mb_grown`

    python benchmarks/fuzz.py --files 1 --first 1234 --seed 1     # repeats a case
"""

from __future__ import annotations

import json
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
    options = parse(made, files=60, configs=150, artifacts=60, requests=300)
    if options.worker:
        more = [options.shop] if options.worker == "artifacts" else []
        WORK[options.worker](options.seed, options.first, getattr(options, options.worker), *more)
        return
    with folder(options.keep) as kept:
        kept.mkdir(parents=True, exist_ok=True)
        found = {"seed": options.seed, "first": options.first}
        numbers = (options.seed, options.first)
        if options.files:
            found["files"] = fuzz_files.fuzz(*numbers, options.files, kept)
        if options.configs:
            found["configs"] = fuzz_configs.fuzz(*numbers, options.configs, kept)
        if options.artifacts:
            found["artifacts"] = fuzz_artifacts.fuzz(*numbers, options.artifacts, kept, options.shop)
        if options.requests:
            found |= fuzz_requests.fuzz(*numbers, options.requests, kept)
    tell(options, found, lambda: json.dumps(found, indent=1))
    sys.exit(any(part["failures"] for part in found.values() if isinstance(part, dict)))


if __name__ == "__main__":
    main()
