from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from freshet.core.config import Events
from freshet.core.errors import InputError
from freshet.stages.events import ItemsReport, import_items

from .shop import CATALOGUE, EVENT, ITEM, LOG, put, text
from .sources import quarantined, take

HEAD = "item_id,title,text\n"
MANY = "".join(f"{n},n{n},t\n" for n in range(3, 50))


def imported(folder: Path, content: str) -> tuple[ItemsReport, dict[str, tuple[str, str]]]:
    """The report, and item -> (title, text); rows add up."""
    report = import_items(put(folder / "items.csv", content), Events(), folder / "out")
    assert report.rows_read == report.items + report.duplicates + sum(report.quarantined.values())
    rows = pq.read_table(folder / "out" / "items.parquet").to_pylist()
    return report, {row["item"]: (row["title"], row["text"]) for row in rows}


@pytest.mark.parametrize(
    "broken",
    [
        '2,"Heat,b\n',  # nothing closes it
        '2,"Heat"s,b\n',
        '2,a" b,"Heat\n',  # an even number of quotes
        '2,"Heat,"b\n',
    ],
)
@pytest.mark.parametrize("others", [MANY, MANY.replace(",t", ',"a, t"')])
def test_a_quote_that_nothing_closes_costs_one_row(tmp_path: Path, broken: str, others: str) -> None:
    report, found = imported(tmp_path, HEAD + "1,a,b\n" + broken + others)
    assert (report.rows_read, report.quarantined) == (49, {"unreadable row": 1})
    assert len(found) == 48


def test_a_quote_that_a_later_one_closes_swallows_no_rows(tmp_path: Path) -> None:
    report, found = imported(tmp_path, HEAD + '1,"Heat,b\n' + MANY + '50,Up",b\n51,c,d\n')
    assert (report.rows_read, report.quarantined) == (50, {"unreadable row": 1})
    assert found["50"] == ('Up"', "b")
    report, found = imported(tmp_path, HEAD + '1,"Heat,b\n2,Up",b\n3,c,d\n')  # may be one record, or two
    assert (report.rows_read, report.quarantined, found) == (3, {"unreadable row": 2}, {"3": ("c", "d")})


def test_a_swallowing_quote_in_a_log_is_kept_with_its_line(tmp_path: Path) -> None:
    lines = text([(*row, "x") for row in LOG], (*EVENT, "note")).splitlines(keepends=True)
    lines[10] = lines[10].replace(",x", ',"x')
    report = take(tmp_path / "w", put(tmp_path / "events.csv", "".join(lines)))
    assert (report.rows_read, report.added) == (len(LOG), len(LOG) - 1)
    assert quarantined(tmp_path / "w") == [(None, 11, "unreadable row", lines[10].rstrip("\n"))]


def test_texts_of_several_lines_are_read(tmp_path: Path) -> None:
    for ending in ("\n", "\r\n"):
        rows = [f'{n},"T{n}","one, x\ntwo ""q"", y, z\n\nthree"\n' for n in range(20)]
        report, found = imported(tmp_path, (HEAD + "".join(rows)).replace("\n", ending))
        assert (report.items, report.quarantined) == (20, {})
        assert found["7"] == ("T7", 'one, x\ntwo "q", y, z\n\nthree')


def test_lines_with_the_commas_of_a_row_are_text_where_no_quote_of_the_file_is_amiss(tmp_path: Path) -> None:
    rows = "".join(f'{n},T{n},"Pros, cons, more\nGood, bad, ugly"\n' for n in range(20))
    report, found = imported(tmp_path, HEAD + rows)
    assert (report.rows_read, report.quarantined) == (20, {})
    assert found["7"] == ("T7", "Pros, cons, more\nGood, bad, ugly")
    report, found = imported(tmp_path, HEAD + rows + '90,"Heat"s,b\n91,c,d\n')
    assert (report.rows_read, report.quarantined) == (42, {"unreadable row": 41})
    assert found == {"91": ("c", "d")}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            '1,"The \\"best\\", ever",\\N\n2,plain,"a \\\\ b"\n',
            {"1": ('The "best", ever', "\\N"), "2": ("plain", "a \\ b")},
        ),
        ("1,'Heat, 1995','it''s'\n2,'Up, up','x'\n", {"1": ("Heat, 1995", "it's"), "2": ("Up, up", "x")}),
        ("1,'Twas,it's\n2,Rock 'n' roll,x\n", {"1": ("'Twas", "it's"), "2": ("Rock 'n' roll", "x")}),
        ('1,7" mix,12" mix\n2,5",x\n', {"1": ('7" mix', '12" mix'), "2": ('5"', "x")}),
        ('1, "a, b", c\n2,d,e\n', {"1": ("a, b", "c"), "2": ("d", "e")}),
        ("1,a,b,\n2,c,d,\n", {"1": ("a", "b"), "2": ("c", "d")}),
        ("\n1,a,b\n\n2,c,d\n\n", {"1": ("a", "b"), "2": ("c", "d")}),
    ],
)
def test_quotes_and_escapes_are_recognised(
    tmp_path: Path, content: str, expected: dict[str, tuple[str, str]]
) -> None:
    report, found = imported(tmp_path, HEAD + content)
    assert (found, report.quarantined) == (expected, {})


def test_an_escape_far_from_the_start_is_recognised(tmp_path: Path) -> None:
    rows = "".join(f"{n},n{n},t\n" for n in range(3000))
    report, found = imported(tmp_path, HEAD + rows + '5000,"The \\"best\\", x",y\n')
    assert (report.items, found["5000"]) == (3001, ('The "best", x', "y"))
    assert report.notes == ("items.csv: read as CSV with a backslash in front of quotes",)


@pytest.mark.parametrize(
    ("head", "row", "expected"),
    [
        ("item_id;title;text", "{};a, b;2,5", ("a, b", "2,5")),
        ("item_id|title|text", "{}|a, b|2;5", ("a, b", "2;5")),
        ("item_id\ttitle\ttext", "{}\ta, b\tx;y", ("a, b", "x;y")),
        ('"item_id";"text";"a title, long, very, much"', "{};2,5;7", ("", "2,5")),
        ("sep=;\nitem_id;title;text", "{};a;b", ("a", "b")),
        ("\n\nitem_id,title,text", "{},a,b", ("a", "b")),
    ],
)
def test_the_delimiter_is_recognised(tmp_path: Path, head: str, row: str, expected: tuple[str, str]) -> None:
    _, found = imported(tmp_path, head + "\n" + "".join(row.format(n) + "\n" for n in range(9)))
    assert found == {str(n): expected for n in range(9)}


@pytest.mark.parametrize("change", [("\n", "\r"), ("\n", "\r\n"), ("theme 7\n", "theme 7\r\n")])
def test_line_ends_may_be_of_any_kind(tmp_path: Path, change: tuple[str, str]) -> None:
    report, found = imported(tmp_path, text(CATALOGUE, ITEM).replace(*change))
    assert (report.items, report.quarantined) == (96, {})
    assert found["107"] == ("Title, number 7", "about theme 7")


def test_a_header_inside_a_file_is_no_row(tmp_path: Path) -> None:
    report, _ = imported(tmp_path, text(CATALOGUE[:50], ITEM) + text(CATALOGUE[50:], ITEM))
    assert (report.items, report.quarantined) == (96, {"repeated header": 1})
    report, _ = imported(tmp_path, text(CATALOGUE[:50], ITEM) + "\ufeff" + text(CATALOGUE[50:], ITEM))
    assert (report.items, report.quarantined) == (96, {"repeated header": 1})
    source = put(tmp_path / "events.csv", text(LOG[:5]) + text(LOG[5:]))
    assert take(tmp_path / "w", source).quarantined == {"repeated header": 1}


def test_two_kinds_of_quotes_are_refused(tmp_path: Path) -> None:
    rows = "".join(f"'{n}',\"{n}, x\",y\n" for n in range(9))
    with pytest.raises(InputError, match="fields in single and in double quotes"):
        imported(tmp_path, HEAD + rows)


@pytest.mark.parametrize("row", ["999,a,{}\n", '999,a,"{}"\n'])
def test_a_row_too_long_for_the_reader_is_quarantined(tmp_path: Path, row: str) -> None:
    report, _ = imported(tmp_path, HEAD + row.format("x" * 3_000_000) + "1,b,c\n")
    assert (report.items, report.quarantined) == (1, {"unreadable row": 1})


@pytest.mark.parametrize("first", ["1,31,2.5,1260759144", "1,1,2.5,1260759144"])
def test_a_file_without_header_is_refused_in_words(tmp_path: Path, first: str) -> None:
    with pytest.raises(InputError) as error:
        take(tmp_path / "w", put(tmp_path / "events.csv", first + "\n1,1029,3.0,1260759179\n"))
    assert "'2.5'" in error.value.message
    assert "column names" in error.value.hint or "must name the columns" in error.value.hint
