"""
Partitions of the log tables as Parquet files: written before retention drops them, read back, put back, asked by SQL.

pyarrow, DuckDB and s3fs are an optional extra, so only `extra.load` imports them, when they are needed: a worker
without an archive starts without them.
"""
