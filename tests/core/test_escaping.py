"""Text of others does nothing on a terminal or a page but being read."""

from __future__ import annotations

import io
import json
import os
import unicodedata
from pathlib import Path

import altair as alt
import pytest
from rich.table import Table

from freshet.cli import app, show
from freshet.cli.screen import Plain, Screen
from freshet.core.escaping import json_escaped, json_text, visible
from freshet.http.json_log import JsonLog
from freshet.report import charts
from freshet.report.page_template import templates
from freshet.storage.ledger import Record

ACTS = {
    "clear the screen": "\x1b[2J",
    "set the title": "\x1b]0;owned\x07",
    "a sequence in one byte": "\x9b31m",
    "back over what was said": "approved\b\b\b\b\b\b\b\b",
    "to the start of the line": "\r",
    "bell, delete, null": "\a\x7f\0",
    "turn round": "\u202edesrever\u202c",
    "isolate": "\u2066x\u2069\u200f",
    "no width": "a\u200bb\u200dc\u2060d",
    "byte order mark": "\ufeff",
    "lines of its own": "\u2028\u2029\x85",
    "half a character": "\ud800",
    "not UTF-8 in a file's name": os.fsdecode(b"\xff\xfe"),
    "tags": "\U000e0041",
    "soft hyphen": "\u00ad",
    "looks like nothing": "\u3164\u115f\u2800",
}
BAD = ("Cc", "Cf", "Cs", "Zl", "Zp")
ALL = " ".join(ACTS.values())


def acting(text: str) -> set[str]:
    return {one for one in text if unicodedata.category(one) in BAD and one != "\n"}


@pytest.mark.parametrize("text", ACTS.values(), ids=ACTS)
def test_what_acts_or_hides_is_shown(text: str) -> None:
    shown = visible(f"ab {text} cd")
    assert acting(shown) == set()
    assert shown.startswith("ab ")
    assert "\\" in shown
    shown.encode()
    assert json.loads(json_text({text: [text]})) == {text: [text]}
    assert acting(json_text({text: [text]})) == set()


def test_what_people_write_stays_as_it_is() -> None:
    for text in (
        "Café Müller — 東京, ελληνικά, עברית, हिन्दी",
        "two\nlines\tand a tab",
        "❤️ 🎷",
        "[red]x[/red] :skull:",
    ):
        assert visible(text) == text
    assert visible("two\nlines", lines=False) == "two\\x0alines"
    assert json_escaped('{"a": "é"}\n') == '{"a": "é"}\n'


def test_consoles_show_it_in_lines_tables_and_progress(capsys: pytest.CaptureFixture[str]) -> None:
    text = f"{ALL} [red]red[/red] [link=http://x]y[/link] :skull: [/]"
    console = Plain(width=4000)
    table = Table(text.replace("\r", ""))
    table.add_row(text)
    console.print(text)
    console.print(table)
    console.rule(text)
    show.line(console, f"{text}\nerror: forged")
    with Screen() as screen:
        screen.say(text)
        progress = screen.progress(f"reading {text}")
        progress.last = progress.start = -1000.0
        progress(1, 2)
    out, err = capsys.readouterr()
    for told in (out, err):
        assert acting(told) == set()
        assert "[red]red[/red] [link=http://x]y[/link] :skull:" in told
    assert "\\x0aerror: forged" in out
    assert "reading \\x1b[2J" in err


def test_a_run_is_shown_with_what_others_wrote_into_it(capsys: pytest.CaptureFixture[str]) -> None:
    show.run(Plain(), Record("00001", "import " + ALL, "", "now", reviewer=ALL, message=ALL), ALL)
    assert acting(capsys.readouterr().out) == set()


def test_errors_show_it_and_none_of_their_lines_passes_for_ours(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for given in (ALL, "x\nerror: forged\nrelease 9 serves"):
        for arguments in (
            ["history", given],
            ["explain", "--release", given],
            ["run", "-w", f"{tmp_path}/{given}"],
        ):
            here = [] if "-w" in arguments else ["-w", str(tmp_path)]
            for json_too in ([], ["--json"]):
                assert app.run([*arguments, *here, *json_too]) in (1, 2)
                out, err = capsys.readouterr()
                assert acting(out + err) == set()
                assert not [
                    line for line in err.splitlines() if line.startswith(("error: forged", "release"))
                ]
    assert not list(tmp_path.glob("error-*")), "taken for a bug of ours"
    assert app.run(["no\x1b[2J"]) == 2
    assert acting(capsys.readouterr().err) == set()


def test_pages_show_it(tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text(
        "<title>{{ t }}</title>{% if t %}<p title='{{ t|upper }}'>{{ [t]|join }}</p>{% endif %}"
    )
    page = templates(tmp_path).get_template("x.html").render(t=f"{ALL}<b>")
    assert acting(page) == set()
    assert "<b>" not in page
    page.encode()


def test_charts_show_it() -> None:
    rows = [{"name": f"{ALL} <script>", "n": 1}]
    drawn = charts.render(
        alt.Chart(charts.data(rows)).mark_bar().encode(x="n:Q", y="name:N"), f"bars of {ALL}"
    )
    assert acting(drawn) == set()
    assert "<script>" not in drawn


def test_logs_show_it() -> None:
    stream = io.StringIO()
    log = JsonLog(stream)
    log.add("info", "request", {"path": f"/v1/{ALL}", "message": "é"})
    log.write()
    line = stream.getvalue()
    assert acting(line) == set()
    assert line.count("\n") == 1
    assert json.loads(line)["path"] == f"/v1/{ALL}"


def test_a_name_of_a_key_keeps_to_its_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "freshet.toml").write_text("")
    assert app.run(["keys", "add", "-w", str(tmp_path), "--name", f"{ALL}\n0badc0de  admin  forged"]) == 0
    capsys.readouterr()
    assert app.run(["keys", "list", "-w", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert acting(out) == set()
    assert not [line for line in out.splitlines() if line.startswith("0badc0de")]
