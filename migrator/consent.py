"""A downgrade that would lose data does so only when somebody said that it may."""

from typing import Any

from migrator.errors import DataLossRefusedError

CONSENT = "lose-data=yes"


def require_data_loss_consent(op: Any, what: str) -> None:
    """
    Return if losing *what* was agreed to: by `-x lose-data=yes`, or by attribute `lose_data` of the configuration.

    Call it first thing in a `downgrade()`: `require_data_loss_consent(op, "all rows of orders")`.

    Raises:
        DataLossRefusedError: Nobody agreed. This revision was not undone.
    """
    config = op.get_context().config
    if config is not None:
        arguments = getattr(config.cmd_opts, "x", None) or []
        if config.attributes.get("lose_data") or CONSENT in arguments:
            return
    raise DataLossRefusedError(what, f"alembic -x {CONSENT} downgrade ...")
