"""The SQL that a revision will run, as Alembic's offline mode renders it, without the bookkeeping around it."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from alembic import command

from migrator.authoring.sql_text import Statement, statements
from migrator.classifier import sentence
from migrator.configuration import alembic_config
from migrator.errors import MigratorError, PermanentError

if TYPE_CHECKING:
    from migrator.authoring.chain import Chain, RevisionFile
    from migrator.environment import Environment

_PRELUDE = re.compile(r"SET LOCAL (lock_timeout|TimeZone) = '[^']*';\s*")
_RUNNING = re.compile(r"^-- Running (?:upgrade|downgrade) .*$", re.MULTILINE)


def upgrade_sql(environment: Environment, file: RevisionFile) -> str:
    """
    Return what `upgrade()` of *file* runs, as SQL.

    Raises:
        PermanentError: It cannot be rendered without a database.
    """
    return _own_part(environment, _rendered(environment, file, f"{file.down_revision or 'base'}:{file.revision}"))


def downgrade_sql(environment: Environment, file: RevisionFile) -> str:
    """Return what `downgrade()` of *file* runs, as SQL; raises as `upgrade_sql`."""
    way = f"{file.revision}:{file.down_revision or 'base'}"
    return _own_part(environment, _rendered(environment, file, way, down=True))


def upgrade_statements(environment: Environment, file: RevisionFile) -> list[Statement]:
    """Return the statements of `upgrade_sql`; raises as that does."""
    return statements(upgrade_sql(environment, file))


def whole_sql(chain: Chain, start: str, end: str) -> str:
    """
    Return the script that brings a database from one revision to another, back too, bookkeeping included.

    Args:
        chain: Whose.
        start: Where the database is: a revision's whole id, or `base`.
        end: Where it is to be; likewise.

    Raises:
        PermanentError: It cannot be rendered without a database.
    """
    place = {file.revision: number for number, file in enumerate(chain.revisions)}
    down = place.get(end, -1) < place.get(start, -1)
    try:
        return _render(chain.environment, f"{start}:{end}", down=down)
    except MigratorError:
        raise
    except Exception as error:
        raise PermanentError(f"The way from {start} to {end} cannot be rendered as SQL: {sentence(error)}.") from error


def _rendered(environment: Environment, file: RevisionFile, way: str, *, down: bool = False) -> str:
    try:
        return _render(environment, way, down=down)
    except MigratorError:
        raise
    except Exception as error:
        raise PermanentError(
            f"Revision {file.revision} cannot be rendered as SQL: {sentence(error)} ({file.path}). Offline there is no "
            "database to ask: read the catalog in an operation of migrator.ops, not in the revision."
        ) from error


def _render(environment: Environment, way: str, *, down: bool) -> str:
    config = alembic_config(environment, lose_data=True)
    buffer = io.StringIO()
    config.output_buffer = buffer
    (command.downgrade if down else command.upgrade)(config, way, sql=True)
    return buffer.getvalue()


def _own_part(environment: Environment, text: str) -> str:
    """Cut the revision's own statements out: after the settings, before the version row and what follows it."""
    running = _RUNNING.search(text)
    body = text[running.end() :] if running else ""
    version_row = re.compile(
        rf"^(?:INSERT INTO|UPDATE|DELETE FROM) \"?{re.escape(environment.version_table)}\"? ", re.MULTILINE
    )
    end = version_row.search(body)
    body = body[: end.start()] if end else body
    return _PRELUDE.sub("", body).strip() + "\n"
