"""All commands, in the order of `freshet --help`, each with its example."""

from __future__ import annotations

import typer

from freshet.cli import batch_commands
from freshet.cli.alerts_command import alerts
from freshet.cli.backup_commands import backup, restore
from freshet.cli.copy_command import copy
from freshet.cli.demo_command import demo
from freshet.cli.drift_command import drift
from freshet.cli.estimate_command import estimate
from freshet.cli.experiment_analysis import power, report_experiment
from freshet.cli.experiment_commands import check, list_experiments, start, stop
from freshet.cli.export_command import export
from freshet.cli.forget_command import forget
from freshet.cli.gc_command import gc
from freshet.cli.init_command import init
from freshet.cli.inspect_commands import diff, explain, history, interests, report, status
from freshet.cli.replay_commands import cadence, replay
from freshet.cli.review_commands import approve, reject, rollback
from freshet.cli.run_commands import finetune, ranker, refresh, run
from freshet.cli.schedule_command import schedule
from freshet.cli.serve_commands import add_key, list_keys, revoke_key, serve
from freshet.cli.settings_command import settings
from freshet.cli.simulate_command import simulate
from freshet.cli.stream_command import stream
from freshet.cli.track_command import track
from freshet.cli.upgrade_command import upgrade
from freshet.cli.workspace_commands import collect, doctor, import_files

app = typer.Typer(
    name="freshet",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Keep an LLM-powered recommender fresh: transition tables that follow what people move on to.",
    epilog="A first look without data of your own: `freshet demo`",
)
keys = typer.Typer(no_args_is_help=True, help="API keys of `freshet serve`: add, list, revoke.")
batch = typer.Typer(invoke_without_command=True)
batch.callback(epilog="Example: `freshet batch -w shop`")(batch_commands.listed)
experiment = typer.Typer(
    no_args_is_help=True, help="Experiments with people: two or more ways to serve them, and what differs."
)

for group, name, function, example in (
    (
        app, "init", init,
        "`freshet init shop --events log.parquet --items items.parquet --positive 'value >= 7' "
        "--interests 100`",
    ),
    (app, "run", run, "`freshet run -w shop`"),
    (app, "finetune", finetune, "`freshet finetune -w shop --as-of 2024-05-01`"),
    (app, "refresh", refresh, "`freshet refresh -w shop`"),
    (app, "import", import_files, "`freshet import -w shop new.parquet`"),
    (app, "stream", stream, "`freshet stream -w shop`, or from cron `freshet stream -w shop --once`"),
    (app, "collect", collect, "`freshet collect -w shop`"),
    (app, "interests", interests, "`freshet interests -w shop`"),
    (app, "ranker", ranker, "`freshet ranker -w shop --as-of 2024-05-01`"),
    (app, "explain", explain, "`freshet explain -w shop 12 'jazz saxophone'`"),
    (app, "status", status, "`freshet status -w shop --json`"),
    (app, "alerts", alerts, "`freshet alerts -w shop`, or from cron `freshet alerts -w shop --send`"),
    (app, "history", history, "`freshet history -w shop 00003`"),
    (app, "diff", diff, "`freshet diff -w shop 1 2`"),
    (app, "report", report, "`freshet report -w shop --into report.html`"),
    (app, "approve", approve, "`freshet approve -w shop 00003 --by Ada --reason \"recall is good enough\"`"),
    (app, "reject", reject, "`freshet reject -w shop 00003 --reason \"too weak\"`"),
    (app, "rollback", rollback, "`freshet rollback -w shop 2 --reason \"people complain\"`"),
    (app, "export", export, "`freshet export -w shop --to shop.freshet`"),
    (app, "settings", settings, "`freshet settings -w s3://lake/shop --set freshet.toml`"),
    (app, "copy", copy, "`freshet copy shop s3://lake/shop`"),
    (app, "upgrade", upgrade, "`freshet upgrade -w shop`"),
    (app, "forget", forget, "`freshet forget -w shop --user u123`"),
    (app, "gc", gc, "`freshet gc -w shop --dry-run`"),
    (app, "backup", backup, "`freshet backup -w shop s3://safe/shop --keep 30`"),
    (app, "restore", restore, "`freshet restore s3://safe/shop shop-again --keys /safe/shop-keys`"),
    (app, "doctor", doctor, "`freshet doctor -w shop --repair`"),
    (
        app, "replay", replay,
        "`freshet replay -w shop --arms static,hybrid,counts --every 2d --from 2013-06-01`",
    ),
    (app, "drift", drift, "`freshet drift -w shop --every month --from 2013-06-01`"),
    (app, "cadence", cadence, "`freshet cadence -w shop --every 2d --from 2013-06-01`"),
    (app, "track", track, "`freshet track -w shop`"),
    (
        app, "schedule", schedule,
        "`freshet schedule -w shop`, from cron `freshet schedule -w shop --once`, a look ahead "
        "`freshet schedule -w shop --dry-run 14`",
    ),
    (app, "serve", serve, "`freshet serve -w shop --port 8000`"),
    (batch, "submit", batch_commands.submit, "`freshet batch submit -w shop`"),
    (batch, "fetch", batch_commands.fetch, "`freshet batch fetch -w shop`"),
    (batch, "read", batch_commands.read, "`freshet batch read -w shop results.jsonl errors.jsonl`"),
    (batch, "close", batch_commands.close, "`freshet batch close -w shop 3`"),
    (keys, "add", add_key, "`freshet keys add -w shop --scope write --name web`"),
    (keys, "list", list_keys, "`freshet keys list -w shop`"),
    (keys, "revoke", revoke_key, "`freshet keys revoke -w shop 1f09c3aa`"),
    (
        experiment, "start", start,
        "`freshet experiment start -w shop --name rag-refresh --control release:12 --treatment follow "
        "--split 50 --metric satisfied,dissatisfied`",
    ),
    (experiment, "stop", stop, '`freshet experiment stop -w shop rag-refresh --reason "decided"`'),
    (experiment, "list", list_experiments, "`freshet experiment list -w shop`"),
    (
        experiment, "power", power,
        "`freshet experiment power -w shop --effect 0.1% --metric satisfied --traffic 200000/day`",
    ),
    (experiment, "check", check, "`freshet experiment check -w shop rag-refresh`"),
    (experiment, "report", report_experiment, "`freshet experiment report -w shop rag-refresh`"),
    (
        experiment, "estimate", estimate,
        "`freshet experiment estimate -w shop --policy release:13 --policy counts --days 14`",
    ),
    (
        app, "demo", demo,
        "`freshet demo`, or on a log of your own `freshet demo shop --events log.parquet "
        "--items items.parquet --positive 'value >= 7'`",
    ),
    (
        app, "simulate", simulate,
        "`freshet simulate --preset shorts --days 14 --users 5000 "
        "--arms static,popularity,hybrid,hybrid-live --refresh-days 1,4`",
    ),
):  # fmt: skip
    group.command(name, epilog=f"Example: {example}")(function)
app.add_typer(batch, name="batch")
app.add_typer(keys, name="keys")
app.add_typer(experiment, name="experiment")
