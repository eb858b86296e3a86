"""The same counts by other means, each in a process of its own: `engines.py NAME CORES FILE FIELD … < list of files`.

Writes the flows of each dstport and protocol to FILE. DuckDB and Polars have what suits them: all cores, streaming, types.
Neither checks all that flowspark does. `library` is plain Spark that counts what `read_flow_logs` gives; `decoder`
is flowspark's decoder on one core; `floor` gunzips, and counts line ends. DuckDB and Polars also read `s3://` URIs: the
environment names the server and the credentials.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Counts = list[list[int]]

NUMBERS = {"srcport": "USMALLINT", "dstport": "USMALLINT", "protocol": "UTINYINT"} | dict.fromkeys(
    ("packets", "bytes", "start", "end"), "BIGINT"
)

S3_NAMES = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""Environment variables that name an S3 server and its credentials."""


def duckdb_typed(cores: int, fields: list[str], paths: list[str]) -> Counts:
    types = {name: NUMBERS.get(name, "VARCHAR") for name in fields}
    return _duckdb(cores, paths, f", auto_detect = false, header = true, columns = {types}")


def duckdb_auto(cores: int, _fields: list[str], paths: list[str]) -> Counts:
    return _duckdb(cores, paths, "")


def _duckdb(cores: int, paths: list[str], options: str) -> Counts:
    query = f"""
        SELECT dstport, protocol, count(*) FROM read_csv(
            {paths}, delim = ' ', quote = '', escape = '', nullstr = '-', ignore_errors = true{options})
        WHERE "log-status" = 'OK' AND dstport IS NOT NULL AND protocol IS NOT NULL
        GROUP BY ALL
    """
    connection = _duckdb_connection(cores, on_s3=_on_s3(paths))
    return [[int(value) for value in row] for row in connection.execute(query).fetchall()]


def _duckdb_connection(cores: int, *, on_s3: bool) -> Any:
    import duckdb

    connection = duckdb.connect(config={"threads": cores})
    if on_s3:
        import duckdb_extension_httpfs

        (extension,) = Path(duckdb_extension_httpfs.__path__[0]).rglob("httpfs.duckdb_extension")
        connection.load_extension(str(extension))
        address, region, key, secret = (os.environ[name] for name in S3_NAMES)
        server = urlsplit(address)
        connection.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{key}', SECRET '{secret}', REGION '{region}', "
            f"ENDPOINT '{server.netloc}', USE_SSL {server.scheme == 'https'}, URL_STYLE 'path')"
        )
    return connection


def polars(_cores: int, fields: list[str], paths: list[str]) -> Counts:
    import polars as pl

    types = {"srcport": pl.UInt16, "dstport": pl.UInt16, "protocol": pl.UInt8}
    frame = pl.scan_csv(
        paths,
        separator=" ",
        quote_char=None,
        null_values="-",
        ignore_errors=True,
        truncate_ragged_lines=True,
        schema={name: types.get(name, pl.Int64 if name in NUMBERS else pl.String) for name in fields},
        storage_options={name.lower(): os.environ[name] for name in S3_NAMES} | {"aws_allow_http": "true"}
        if _on_s3(paths)
        else None,
    )
    found = frame.filter(
        (pl.col("log-status") == "OK") & pl.col("dstport").is_not_null() & pl.col("protocol").is_not_null()
    )
    return [list(row) for row in found.group_by("dstport", "protocol").len().collect(engine="streaming").rows()]


def _on_s3(paths: list[str]) -> bool:
    return paths[0].startswith("s3://")


def library(_cores: int, _fields: list[str], paths: list[str]) -> Counts:
    from pyspark.sql import SparkSession

    import flowspark

    os.environ["PYSPARK_PYTHON"] = sys.executable
    with SparkSession.builder.master("local[*]").config("spark.ui.enabled", "false").getOrCreate() as spark:
        records = flowspark.read_flow_logs(spark, paths, columns=["dstport", "protocol", "log_status"])
        flows = records.where("log_status = 'OK' AND dstport IS NOT NULL AND protocol IS NOT NULL")
        return [list(row) for row in flows.groupBy("dstport", "protocol").count().collect()]


def decoder(_cores: int, _fields: list[str], paths: list[str]) -> Counts:
    from flowspark.decode.sources import Source
    from flowspark.decode.split import scan_split

    sources = (Source(path, Path(path).stat().st_size, None, partial(io.FileIO, path)) for path in paths)
    tallies = (batch.column(0).flatten() for batch in scan_split(sources, None))
    return [list(row) for tally in tallies for row in zip(*(column.to_pylist() for column in tally.flatten()), strict=True)]


def floor(_cores: int, _fields: list[str], paths: list[str]) -> Counts:
    from flowspark.decode.blocks import text_stream

    memory, ends = bytearray(1 << 20), 0
    for path in paths:
        with text_stream(io.FileIO(path)) as stream:
            while count := stream.readinto(memory):
                ends += memory.count(b"\n", 0, count)
    return []


ENGINES: dict[str, Callable[[int, list[str], list[str]], Counts]] = {
    "duckdb": duckdb_typed,
    "duckdb-auto": duckdb_auto,
    "polars": polars,
    "library": library,
    "decoder": decoder,
    "floor": floor,
}

if __name__ == "__main__":
    name, cores, out, *fields = sys.argv[1:]
    counts = ENGINES[name](int(cores), fields, sys.stdin.read().splitlines())
    Path(out).write_text(json.dumps(sorted(counts)))
