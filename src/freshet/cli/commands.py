"""All commands, in the order of `freshet --help`, each with its example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import takewhile
from typing import Any

import typer

COMMANDS = (
    (
        "init",
        "init_command:init",
        "`freshet init shop --events log.parquet --items items.parquet --positive 'value >= 7' "
        "--interests 100`",
    ),
    ("run", "run_commands:run", "`freshet run -w shop`"),
    ("finetune", "run_commands:finetune", "`freshet finetune -w shop --as-of 2024-05-01`"),
    ("refresh", "run_commands:refresh", "`freshet refresh -w shop`"),
    ("import", "workspace_commands:import_files", "`freshet import -w shop new.parquet`"),
    (
        "stream",
        "stream_command:stream",
        "`freshet stream -w shop`, or from cron `freshet stream -w shop --once`",
    ),
    ("collect", "workspace_commands:collect", "`freshet collect -w shop`"),
    ("interests", "inspect_commands:interests", "`freshet interests -w shop`"),
    ("ranker", "run_commands:ranker", "`freshet ranker -w shop --as-of 2024-05-01`"),
    ("explain", "inspect_commands:explain", "`freshet explain -w shop 12 'jazz saxophone'`"),
    ("status", "inspect_commands:status", "`freshet status -w shop --json`"),
    (
        "alerts",
        "alerts_command:alerts",
        "`freshet alerts -w shop`, or from cron `freshet alerts -w shop --send`",
    ),
    ("history", "inspect_commands:history", "`freshet history -w shop 00003`"),
    ("diff", "inspect_commands:diff", "`freshet diff -w shop 1 2`"),
    ("report", "inspect_commands:report", "`freshet report -w shop --into report.html`"),
    (
        "approve",
        "review_commands:approve",
        '`freshet approve -w shop 00003 --by Ada --reason "recall is good enough"`',
    ),
    ("reject", "review_commands:reject", '`freshet reject -w shop 00003 --reason "too weak"`'),
    ("rollback", "review_commands:rollback", '`freshet rollback -w shop 2 --reason "people complain"`'),
    ("export", "export_command:export", "`freshet export -w shop --to shop.freshet`"),
    ("settings", "settings_command:settings", "`freshet settings -w s3://lake/shop --set freshet.toml`"),
    ("copy", "copy_command:copy", "`freshet copy shop s3://lake/shop`"),
    ("upgrade", "upgrade_command:upgrade", "`freshet upgrade -w shop`"),
    ("forget", "forget_command:forget", "`freshet forget -w shop --user u123`"),
    ("gc", "gc_command:gc", "`freshet gc -w shop --dry-run`"),
    ("backup", "backup_commands:backup", "`freshet backup -w shop s3://safe/shop --keep 30`"),
    (
        "restore",
        "backup_commands:restore",
        "`freshet restore s3://safe/shop shop-again --keys /safe/shop-keys`",
    ),
    ("doctor", "workspace_commands:doctor", "`freshet doctor -w shop --repair`"),
    (
        "replay",
        "replay_commands:replay",
        "`freshet replay -w shop --arms static,hybrid,counts --every 2d --from 2013-06-01`",
    ),
    ("drift", "drift_command:drift", "`freshet drift -w shop --every month --from 2013-06-01`"),
    ("cadence", "replay_commands:cadence", "`freshet cadence -w shop --every 2d --from 2013-06-01`"),
    ("track", "track_command:track", "`freshet track -w shop`"),
    (
        "schedule",
        "schedule_command:schedule",
        "`freshet schedule -w shop`, from cron `freshet schedule -w shop --once`, a look ahead "
        "`freshet schedule -w shop --dry-run 14`",
    ),
    ("serve", "serve_commands:serve", "`freshet serve -w shop --port 8000`"),
    ("batch submit", "batch_commands:submit", "`freshet batch submit -w shop`"),
    ("batch fetch", "batch_commands:fetch", "`freshet batch fetch -w shop`"),
    ("batch read", "batch_commands:read", "`freshet batch read -w shop results.jsonl errors.jsonl`"),
    ("batch close", "batch_commands:close", "`freshet batch close -w shop 3`"),
    ("keys add", "serve_commands:add_key", "`freshet keys add -w shop --scope write --name web`"),
    ("keys list", "serve_commands:list_keys", "`freshet keys list -w shop`"),
    ("keys revoke", "serve_commands:revoke_key", "`freshet keys revoke -w shop 1f09c3aa`"),
    (
        "experiment start",
        "experiment_commands:start",
        "`freshet experiment start -w shop --name rag-refresh --control release:12 --treatment follow "
        "--split 50 --metric satisfied,dissatisfied`",
    ),
    (
        "experiment stop",
        "experiment_commands:stop",
        '`freshet experiment stop -w shop rag-refresh --reason "decided"`',
    ),
    ("experiment list", "experiment_commands:list_experiments", "`freshet experiment list -w shop`"),
    (
        "experiment power",
        "experiment_analysis:power",
        "`freshet experiment power -w shop --effect 0.1% --metric satisfied --traffic 200000/day`",
    ),
    ("experiment check", "experiment_commands:check", "`freshet experiment check -w shop rag-refresh`"),
    (
        "experiment report",
        "experiment_analysis:report_experiment",
        "`freshet experiment report -w shop rag-refresh`",
    ),
    (
        "experiment estimate",
        "estimate_command:estimate",
        "`freshet experiment estimate -w shop --policy release:13 --policy counts --days 14`",
    ),
    (
        "demo",
        "demo_command:demo",
        "`freshet demo`, or on a log of your own `freshet demo shop --events log.parquet "
        "--items items.parquet --positive 'value >= 7'`",
    ),
    (
        "simulate",
        "simulate_command:simulate",
        "`freshet simulate --preset shorts --days 14 --users 5000 "
        "--arms static,popularity,hybrid,hybrid-live --refresh-days 1,4`",
    ),
)
"""(name, `module:function` in `freshet.cli`, example) of each."""
GROUPS: dict[str, dict[str, Any]] = {
    "batch": {"invoke_without_command": True},
    "keys": {"no_args_is_help": True, "help": "API keys of `freshet serve`: add, list, revoke."},
    "experiment": {
        "no_args_is_help": True,
        "help": "Experiments with people: two or more ways to serve them, and what differs.",
    },
}
"""Commands that have commands, and how typer makes them."""


def app_of(arguments: Sequence[str]) -> typer.Typer:
    """The command line for a call: all commands, or the one alone that it names.

    To import and take apart fifty functions takes as long as many a command. So a call that begins with the
    name of a command gets an app that knows no other.
    """
    before = list(takewhile(lambda one: one.startswith("-"), arguments))
    asked = "" if "--help" in before else next(iter(arguments[len(before) :]), "")
    app = typer.Typer(
        name="freshet",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        help="Keep an LLM-powered recommender fresh: transition tables that follow what people move on to.",
        epilog="A first look without data of your own: `freshet demo`",
    )
    known = {name.partition(" ")[0] for name, *_ in COMMANDS}
    groups = {name: typer.Typer(**options) for name, options in GROUPS.items()}
    for name, place, example in COMMANDS:
        first, _, second = name.partition(" ")
        if asked in known and first != asked:
            continue
        group = groups[first] if second else app
        group.command(second or first, epilog=f"Example: {example}")(_function(place))
    for name, group in groups.items():
        if asked == name or asked not in known:
            app.add_typer(group, name=name)
    if asked == "batch" or asked not in known:
        groups["batch"].callback(epilog="Example: `freshet batch -w shop`")(
            _function("batch_commands:listed")
        )
    return app


def _function(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    found: Callable[..., Any] = getattr(import_module(f"freshet.cli.{module}"), name)
    return found
