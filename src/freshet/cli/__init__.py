"""The command line: `app` runs a command and turns errors into exit codes.

`options` what commands share · `setup` init · `making` run, finetune, refresh, import, interests ·
`deciding` approve, reject, rollback · `reading` explain, status, history, diff, report · `demo` ·
`answers` the `--json` documents · `show` what a person reads · `screen` progress · `settings` freshet.toml.

Commands import what they need when they run, so that `freshet --help` is quick.
"""

from freshet.cli.app import main

__all__ = ["main"]
