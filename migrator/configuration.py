"""Alembic's configuration for an environment, for whoever calls its commands from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic.config import Config

if TYPE_CHECKING:
    from typing import TextIO

    from migrator.environment import Environment


def alembic_config(
    environment: Environment,
    *,
    url: str | None = None,
    lose_data: bool = False,
    stdout: TextIO | None = None,
    **attributes: object,
) -> Config:
    """
    Return the configuration from the environment's alembic.ini.

    Args:
        environment: Whose.
        url: The database; None: the environment's variables say.
        lose_data: Consent to downgrades that lose data.
        stdout: Where commands print; None: standard output.
        attributes: More of what `run_env` reads, as `connection`, `migration_lock` or `budgets`.
    """
    path = str(environment.folder / "alembic.ini")
    config = Config(path) if stdout is None else Config(path, stdout=stdout)
    config.attributes.update(attributes, url=url, lose_data=lose_data)
    return config
