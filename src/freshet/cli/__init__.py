"""The command line: `freshet COMMAND`.

`commands` lists all commands; the modules `*_commands` and `*_command` hold them, each beside the JSON
document it answers. `options` holds the options that commands share, `json_documents` what documents share,
`show*` what people read instead, `screen` consoles and progress; `settings_file` writes freshet.toml, and
`app` turns errors into messages and exit codes.

Commands import what they need when they run, so that `freshet --help` is quick.
"""

from freshet.cli.app import main

__all__ = ["main"]
