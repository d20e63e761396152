"""Small folders in the layouts of published data sets, with invented content: a few rows and the true quirks."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .shop import put


def mind(folder: Path) -> Path:
    """Train and dev; an empty history, no title, quotes, an impression without clicks, and one that is broken."""
    put(
        folder / "train" / "behaviors.tsv",
        "1\tU1\t11/11/2019 9:05:58 AM\tN9 N8\tN1-1 N2-0 N3-1\n"
        "2\tU2\t11/12/2019 6:11:30 PM\t\tN2-0 N3-0\n"
        "3\tU2\t11/13/2019 12:00:01 AM\tN1\tN1-0 N4-1\n"
        "4\tU3\t11/13/2019 1:30:00 PM\t\tN1-0 N2\n",
    )
    put(
        folder / "dev" / "behaviors.tsv",
        "1\tU1\t11/15/2019 8:55:22 AM\tN9 N8\tN4-1 N2-0\n",
    )
    for part, news in (("train", (1, 2, 3)), ("dev", (2, 4))):
        lines = [
            f'N{number}\tsports\tgolf\tA "title" of N{number}\tWhat {number} tells.\thttps://x/{number}\t[]\t'
            '[{"Label": "Golf"}]\n'
            for number in news
        ]
        put(folder / part / "news.tsv", "".join(lines))
        put(folder / part / "entity_embedding.vec", "Q41\t0.1\t0.2\n")
    return folder


_LOG = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab\n"
)


def kuairand(folder: Path) -> Path:
    """The three logs; a video shown twice to somebody, a feature file each."""
    put(
        folder / "data" / "log_standard_4_08_to_4_21_1k.csv",
        _LOG + "0,12,20220408,1600,1649404801301,1,0,0,0,0,0,1,90000,60000,0,0,0,0,1\n"
        "0,13,20220408,1601,1649404901301,0,0,0,0,0,0,0,900,60000,0,0,0,0,1\n",
    )
    put(
        folder / "data" / "log_standard_4_22_to_5_08_1k.csv",
        _LOG + "1,12,20220422,1600,1650614401301,1,1,0,0,0,0,0,9000,60000,0,0,0,0,4\n",
    )
    put(
        folder / "data" / "log_random_4_22_to_5_08_1k.csv",
        _LOG + "1,14,20220423,1600,1650700801301,0,0,0,0,0,1,0,0,60000,0,0,0,1,1\n",
    )
    put(folder / "data" / "user_features_1k.csv", "user_id,user_active_degree\n0,full_active\n")
    put(
        folder / "data" / "video_features_basic_1k.csv",
        'video_id,author_id,video_type,upload_dt,tag\n12,7,NORMAL,2022-04-01,"3,9"\n13,7,AD,2022-04-02,\n',
    )
    put(folder / "data" / "video_features_statistic_1k.csv", "video_id,counts,show_cnt\n12,1,2\n")
    return folder


def amazon(folder: Path) -> Path:
    """Reviews of one category, gzipped; a variant, a product without description, a line that is no JSON."""
    reviews = [
        {"rating": 5.0, "title": "Good", "text": "It is.", "images": [], "asin": "B01", "parent_asin": "B00",
         "user_id": "AE1", "timestamp": 1588687728923, "helpful_vote": 0, "verified_purchase": True},
        {"rating": 2.0, "title": "Bad", "text": "user_id", "images": [], "asin": "B02", "parent_asin": "B02",
         "user_id": "AE1", "timestamp": 1588687828923, "helpful_vote": 3, "verified_purchase": False},
    ]  # fmt: skip
    products = [
        {"main_category": "All Beauty", "title": "A comb", "average_rating": 4.8, "rating_number": 10,
         "features": ["of wood", "small"], "description": [], "price": None, "images": [], "videos": [],
         "store": "S", "categories": ["Hair", "Combs"], "details": {"Size": "1"}, "parent_asin": "B00",
         "bought_together": None},
        {"main_category": None, "title": "", "average_rating": 3.0, "rating_number": 1, "features": [],
         "description": ["Soap, \"soft\"."], "price": 3.5, "images": [], "videos": [], "store": None,
         "categories": [], "details": {}, "parent_asin": "B02", "bought_together": None},
    ]  # fmt: skip
    lines = "".join(json.dumps(one) + "\n" for one in reviews) + "{broken\n"
    put(folder / "All_Beauty.jsonl.gz", gzip.compress(lines.encode()))
    meta = "".join(json.dumps(one) + "\n" for one in products)
    put(folder / "meta_All_Beauty.jsonl.gz", gzip.compress(meta.encode()))
    return folder


def yambda(folder: Path, sequential: bool = False) -> Path:
    """Listens, likes and all together, with times in steps of 5 seconds."""
    uid, item, time, organic = [100, 100, 200], [11, 12, 11], [5, 93_605, 26_000_000], [1, 0, 1]
    played, length = [100, 7, 130], [180, 200, 180]
    types = pa.array(["listen", "listen", "like"])

    def write(name: str, **more: object) -> None:
        table = pa.table(
            {
                "uid": pa.array(uid, pa.uint32()),
                "timestamp": pa.array(time, pa.uint32()),
                "item_id": pa.array(item, pa.uint32()),
                "is_organic": pa.array(organic, pa.uint8()),
                **more,
            }
        )
        if sequential:
            names = [name for name in table.column_names if name != "uid"]
            grouped = table.group_by("uid", use_threads=False).aggregate([(one, "list") for one in names])
            table = grouped.rename_columns([one.removesuffix("_list") for one in grouped.column_names])
        pq.write_table(table, put(folder / name, b""))

    listened = {"played_ratio_pct": pa.array(played, pa.uint16()), "track_length_seconds": pa.array(length)}
    write("listens.parquet", **listened)
    write("likes.parquet")
    write("multi_event.parquet", **{**listened, "event_type": types})
    pq.write_table(pa.table({"artist_id": [1], "item_id": [11]}), folder / "artist_item_mapping.parquet")
    return folder


def lastfm(folder: Path) -> Path:
    """Listens; tracks without an id, quotes in a name, a track without a name."""
    put(
        folder / "userid-timestamp-artid-artname-traid-traname.tsv",
        'user_000001\t2009-05-04T23:08:57Z\tart-1\tDeep "Sea\tTr-1\tA "song\n'
        "user_000001\t2009-05-04T23:12:12Z\t\tNobody\t\tNo id\n"
        'user_000002\t2009-05-05T01:00:00Z\tart-1\tDeep "Sea\tTr-1\tA "song\n'
        'user_000002\t2009-05-05T01:05:00Z\tart-1\tDeep "Sea\t\t\n',
    )
    put(
        folder / "userid-profile.tsv",
        "#id\tgender\tage\tcountry\tregistered\nuser_000001\tm\t\tJapan\tAug 13, 2006\n",
    )
    return folder


def lastfm_totals(folder: Path) -> Path:
    put(folder / "usersha1-artmbid-artname-plays.tsv", "00000c28\t3bd73256\tsomebody\t2137\n")
    put(folder / "usersha1-profile.tsv", "00000c28\tf\t22\tGermany\tFeb 1, 2007\n")
    return folder


def open_bandit(folder: Path) -> Path:
    put(
        folder / "random" / "men" / "men.csv",
        ",timestamp,item_id,position,click,propensity_score,user_feature_0,user-item_affinity_0\n"
        "0,2019-11-24 00:00:20.469715+00:00,13,2,0,0.0294117647,81ce12,0.0\n",
    )
    put(folder / "random" / "men" / "item_context.csv", "item_id,item_feature_0\n0,-0.1\n")
    return folder


def old_movielens(folder: Path) -> Path:
    """u.data without a header, u.item in Latin-1 with marks for genres."""
    put(folder / "u.data", "196\t242\t3\t881250949\n186\t302\t5\t891717742\n")
    flags = ["0"] * 19
    one, two = list(flags), list(flags)
    one[4], two[8] = "1", "1"  # Children's, Drama
    put(
        folder / "u.item",
        "".join(
            f"{number}|{title}|24-Jan-1997||http://us.imdb.com/M|{'|'.join(marks)}\n"
            for number, title, marks in ((242, "Misérables, Les (1995)", one), (302, 'L.A. "C" (1997)', two))
        ).encode("latin-1"),
    )
    put(folder / "u1.base", "196\t242\t3\t881250949\n")
    put(folder / "u.user", "1|24|M|technician|85711\n")
    return folder
