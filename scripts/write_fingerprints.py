#!/usr/bin/env python3
"""
Write the fingerprint of every revision of both environments, by running the chains on a throw-away PostgreSQL.

``python scripts/write_fingerprints.py`` after a revision was added; a test tells where that was forgotten.
"""

import tempfile
from pathlib import Path

import logs_db.environment
import main_db.environment
from migrator.fingerprint_files import write_fingerprints
from servers.postgres import PostgresServer


def main() -> None:
    """Write the files that are missing or out of date, take away those whose revision is gone, and name them."""
    with (
        tempfile.TemporaryDirectory(prefix="headhunter-fingerprints-") as folder,
        PostgresServer.start(Path(folder), durable=False) as server,
    ):
        for environment in (main_db.environment.ENVIRONMENT, logs_db.environment.ENVIRONMENT):
            for path in write_fingerprints(environment, server.create_database(environment.name)):
                print(path)


if __name__ == "__main__":
    main()
