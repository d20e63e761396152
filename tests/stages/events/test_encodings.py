from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from freshet.core.config import Events
from freshet.core.errors import ConfigError, FreshetError, InputError
from freshet.stages.events import import_items

from .shop import CATALOGUE, ITEM, LOG, put, text
from .sources import take


def titles(folder: Path) -> list[str]:
    return pq.read_table(folder / "items.parquet")["title"].to_pylist()


def titled(*names: str) -> str:
    return text([(n, name, "x") for n, name in enumerate(names * 30)], ITEM)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["items.csv", "items.tsv", "items.jsonl", "items.json", "items.csv.gz"])
def test_a_catalogue_is_read_in_any_encoding(tmp_path: Path, encoding: str, name: str) -> None:
    content = text(CATALOGUE, ITEM, sep="\t" if ".tsv" in name else ",")
    if ".json" in name:
        rows = [json.dumps(dict(zip(ITEM, row, strict=True)), ensure_ascii=False) for row in CATALOGUE]
        content = "\n".join(rows) if name.endswith("l") else "[" + ",\n".join(rows) + "]"
    data = content.encode(encoding)
    put(tmp_path / name, gzip.compress(data) if name.endswith(".gz") else data)
    report = import_items(tmp_path / name, Events(), tmp_path / "out")
    assert (report.items, report.quarantined) == (96, {})
    assert titles(tmp_path / "out") == [title for _, title, _ in sorted(CATALOGUE)]
    assert any("read as Windows-1252, such as" in note for note in report.notes) == (encoding == "cp1252")


@pytest.mark.parametrize(
    "title",
    [
        "L’été où l’on naît – à Noël",
        "Über Größe: ÄÖÜ „süß“, 5 €",
        "¿Qué? ¡Año niño! 2ª",
        "Canções do coração, ÁGUA É",
        "Smørrebrød på Ærø",
    ],
)
def test_western_european_titles_are_recognised(tmp_path: Path, title: str) -> None:
    source = put(tmp_path / "items.csv", titled(title).encode("cp1252"))
    import_items(source, Events(), tmp_path / "out")
    assert set(titles(tmp_path / "out")) == {title}


@pytest.mark.parametrize(
    ("title", "encoding"),
    [
        ("日本語タイトル", "shift_jis"),
        ("Война и мир", "cp1251"),
        ("Война и мир", "koi8-r"),
        ("Żółta łódź", "cp1250"),
        ("Příběh člověka", "cp1250"),
        ("Kızıl ağaç şehri", "cp1254"),
        ("東京物語", "shift_jis"),
        ("霸王别姬", "gbk"),
        ("Café au lait", "mac-roman"),
        ("Café au lait", "cp850"),
    ],
)
def test_another_encoding_is_refused_until_it_is_named(tmp_path: Path, title: str, encoding: str) -> None:
    source = put(tmp_path / "items.csv", titled("Plain", "Plain too", title).encode(encoding))
    with pytest.raises(InputError, match=r"neither UTF-8 nor Windows-1252: line 4 holds") as error:
        import_items(source, Events(), tmp_path / "out")
    assert "[events] encoding" in error.value.hint
    import_items(source, Events(encoding=encoding), tmp_path / "out")
    assert title in titles(tmp_path / "out")


def test_a_named_encoding_leaves_files_that_are_utf8_alone(tmp_path: Path) -> None:
    source = put(tmp_path / "items.csv", titled("Café"))
    import_items(source, Events(encoding="cp1251"), tmp_path / "out")
    assert set(titles(tmp_path / "out")) == {"Café"}


@pytest.mark.parametrize(
    ("encoding", "error", "message"),
    [
        ("klingon", ConfigError, "'klingon' is not an encoding"),
        ("ascii", InputError, "items.csv is not ascii"),
    ],
)
def test_an_encoding_that_does_not_fit_is_told(
    tmp_path: Path, encoding: str, error: type[FreshetError], message: str
) -> None:
    source = put(tmp_path / "items.csv", titled("Café").encode("cp1252"))
    with pytest.raises(error, match=message):
        import_items(source, Events(encoding=encoding), tmp_path / "out")


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_one_damaged_line_in_utf8_is_quarantined_alone(tmp_path: Path, ending: bytes) -> None:
    data = (text(CATALOGUE, ITEM).encode() + b"999,Caf\xe9,x\n1000,last,y\n").replace(b"\n", ending)
    report = import_items(put(tmp_path / "items.csv", data), Events(), tmp_path / "out", tmp_path / "refused")
    assert (report.rows_read, report.items, report.quarantined) == (98, 97, {"unreadable row": 1})
    assert report.notes == ("items.csv: 1 line is not UTF-8 (line 98 first)",)
    (kept,) = (tmp_path / "refused").iterdir()
    (row,) = pq.read_table(kept).to_pylist()
    assert row == {"row": None, "line": 98, "reason": "unreadable row", "raw": "999,Caf\ufffd,x"}


def test_an_accent_in_a_column_nobody_needs_loses_no_event(tmp_path: Path) -> None:
    rows: list[tuple[Any, ...]] = [(*row, "Orléans" if n % 5 == 0 else "Paris") for n, row in enumerate(LOG)]
    content = text(rows, ("user_id", "item_id", "timestamp", "value", "città"))
    report = take(tmp_path / "w", put(tmp_path / "events.csv", content.encode("latin-1")))
    assert (report.added, report.quarantined) == (len(LOG), {})
