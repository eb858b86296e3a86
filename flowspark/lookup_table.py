"""Reads the lookup table from any storage that Spark can read, and makes a DataFrame of it."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from flowspark.errors import InputError, cause
from flowspark.files import is_local, local_path, normal, platform_uri, spark_path
from flowspark.locations import check_location
from flowspark.lookup import Lookup, parse_lookup
from flowspark.machines import on_one_machine
from flowspark.missing import missing_hint
from flowspark.session import SPARK_ERRORS, local_frame

_SCHEMA = pa.schema([("dstport", pa.int32()), ("protocol", pa.int32()), ("tag", pa.string())])


def read_lookup(spark: SparkSession, path: str, on_conflict: str = "all") -> Lookup:
    """The compiled table of a lookup file, local or on any storage that Spark reads.

    Raises:
        InputError: it is missing, a folder, unreadable, or has faults.
        UsageError: its path or URI could mean another place, or `on_conflict` is unknown.
    """
    path = platform_uri(path)
    check_location("lookup", path)
    return parse_lookup(_read(spark, path), on_conflict, path)


def _read(spark: SparkSession, path: str) -> bytes:
    if is_local(path):
        try:
            return Path(local_path(path)).read_bytes()
        except IsADirectoryError as error:
            raise InputError(f"lookup {path} is a folder; give the CSV file in it") from error
        except FileNotFoundError as error:
            raise InputError(f"lookup {path} does not exist; {missing_hint(path)}{_driver_hint(spark)}") from error
        except OSError as error:
            raise InputError(f"lookup {path} cannot be read: {error.strerror}") from error
    try:
        rows = spark.read.format("binaryFile").load(spark_path(normal(path))).select("path", "content").take(2)
    except AnalysisException as error:
        raise InputError(f"lookup {path} does not exist; {missing_hint(path)}") from error
    except SPARK_ERRORS as error:
        raise InputError(f"lookup {path} cannot be read: {cause(error)}") from error
    if len(rows) != 1 or not rows[0]["path"].endswith(normal(path).rsplit("/", 1)[-1]):
        raise InputError(f"lookup {path} is a folder, or empty; give the CSV file itself")
    return bytes(rows[0]["content"])


def _driver_hint(spark: SparkSession) -> str:
    """Where a local lookup is read, for a message; empty if there is only one machine."""
    if on_one_machine(spark):
        return ""
    return "; the driver reads it from its own disk: in cluster mode, ship it with --files and give its bare name"


def lookup_frame(spark: SparkSession, lookup: Lookup) -> DataFrame:
    """The table as a DataFrame: `dstport int, protocol int, tag string`, one row for each key and tag."""
    return local_frame(spark, lookup.mappings, _SCHEMA)


def load_lookup(spark: SparkSession, path: str | os.PathLike[str], on_conflict: str = "all") -> DataFrame:
    """The lookup table of a CSV file, checked and compiled: `dstport int, protocol int, tag string`.

    Args:
        spark: the session.
        path: the CSV file; its header names `dstport`, `protocol` and `tag`.
        on_conflict: `all`, `first`, `last` or `error` (rule 5).

    Raises:
        InputError: it cannot be read, or has faults; all are reported, with line numbers.
        UsageError: its path or URI could mean another place, or `on_conflict` is unknown.
    """
    return lookup_frame(spark, read_lookup(spark, os.fspath(path), on_conflict))
