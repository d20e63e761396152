"""Places that releases are given to: a Redis server, Parquet files, one binary file."""
