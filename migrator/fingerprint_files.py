"""Makes the stored fingerprints of an environment by running its revisions, one by one, on an empty database."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from alembic import command
from alembic.script import ScriptDirectory

from migrator.configuration import alembic_config
from migrator.connections import connect
from migrator.errors import PermanentError
from migrator.fingerprint import Fingerprint, fingerprint_path, read_fingerprint, rendered
from migrator.probe import Verdict, probe

if TYPE_CHECKING:
    from pathlib import Path

    from migrator.environment import Environment


def computed_fingerprints(environment: Environment, url: str) -> dict[str, Fingerprint]:
    """
    Run all revisions on the empty database at *url* and return what each made, oldest first.

    Raises:
        PermanentError: The database is not empty; nothing was changed.
    """
    config = alembic_config(environment, url=url)
    with closing(connect(url, application_name=f"fingerprint:{environment.name}", autocommit=True)) as connection:
        found = probe(connection, environment)
        if found.verdict is not Verdict.EMPTY:
            raise PermanentError(f"Fingerprints are made in an empty database, but this one is {found.verdict}.")
        fingerprints: dict[str, Fingerprint] = {}
        for script in [*ScriptDirectory.from_config(config).walk_revisions()][::-1]:
            command.upgrade(config, script.revision)
            fingerprints[script.revision] = read_fingerprint(connection, environment)
    return fingerprints


def write_fingerprints(environment: Environment, url: str) -> list[Path]:
    """
    Store the fingerprint of each revision, made in the empty database at *url*; return the files that changed.

    Files of revisions that are no longer there are removed.

    Raises:
        PermanentError: The database is not empty; nothing was changed.
    """
    texts = {
        fingerprint_path(environment, revision): rendered(fingerprint)
        for revision, fingerprint in computed_fingerprints(environment, url).items()
    }
    folder = environment.folder / "fingerprints"
    folder.mkdir(exist_ok=True)
    stale = [path for path in folder.glob("*.json") if path not in texts]
    changed = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        path.unlink()
    for path in changed:
        path.write_text(texts[path], encoding="utf-8")
    return sorted([*stale, *changed])
