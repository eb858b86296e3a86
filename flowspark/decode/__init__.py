"""The decoder: bytes of one log file to tallies or record batches, on pyarrow and numpy alone (no Spark in here)."""
