"""The PostgreSQL of benchmarks that look for stalls."""

from pathlib import Path

from servers.postgres import PostgresServer, find_binaries


def start_without_checkpoints(folder: Path, major: int | None) -> PostgresServer:
    """Start a durable server of version *major* whose checkpoints, which stall writers by themselves, come too late."""
    settings = {"max_wal_size": "4GB", "checkpoint_timeout": "1h"}
    return PostgresServer.start(folder, binaries=find_binaries(major), settings=settings)
