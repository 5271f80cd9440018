"""The conversion as a loop: read the catalog, do the one step that is due, read it again, until nothing is due."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg

from migrator.errors import PermanentError, TemporaryError
from migrator.ops.conversion_state import ConversionState, Step, read_state, refuse_unfit_columns
from migrator.ops.conversion_steps import ASIDE_COMMENT, add_bound, drop_bound, move_misdated, validate_bound
from migrator.ops.indexes import ensure_index, refuse_other_definition
from migrator.ops.session import await_others
from migrator.ops.swap import refuse_obstacles, replace_empty, swap

if TYPE_CHECKING:
    from migrator.ops.partition_plan import PartitionPlan

logger = logging.getLogger(__name__)

_COMMENT_IF_THERE: LiteralString = """
SELECT pg_catalog.obj_description(c.oid, 'pg_class') FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass(%s)
"""
MAX_STEPS = 60
"""More than any conversion takes: one that goes on longer is being undone by somebody as fast as it is done."""


def convert(connection: psycopg.Connection[Any], plan: PartitionPlan) -> None:
    """
    Bring the table to its partitioned form from whatever state an earlier run left it in.

    The connection is outside any transaction, in UTC and patient with locks (see `online_session`).

    Raises:
        PermanentError: Something has to be changed by hand first; the table is in use as before.
        TemporaryError: Others were in the way for too long; what was done so far is kept for the next run.
    """
    try:
        _take_steps(connection, plan)
    except PermanentError:
        # Nobody may come back before the bound is reached, and from then on the table would refuse every row.
        with suppress(PermanentError):
            if read_state(connection, plan).has_check:
                drop_bound(connection, plan)
        raise


def _take_steps(connection: psycopg.Connection[Any], plan: PartitionPlan) -> None:
    checked = False
    for _ in range(MAX_STEPS):
        step = read_state(connection, plan).next_step
        if step is Step.NOTHING:
            return
        if step is not Step.DROP_BOUND and not checked:
            _refuse_what_would_fail(connection, plan)
            checked = True
        await_others(connection, plan.table)
        state = read_state(connection, plan)
        begun = time.monotonic()
        try:
            _take(connection, plan, state)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            raise TemporaryError(
                f"{plan.table} was held by others for too long at the step {state.next_step.value}. It is in use as "
                "before, what was done so far is kept. Start again."
            ) from error
        logger.info(
            "step towards a partitioned table done",
            extra={
                "event": "conversion_step_done",
                "table": str(plan.table),
                "step": state.next_step.value,
                "duration_ms": round((time.monotonic() - begun) * 1000),
            },
        )
    raise TemporaryError(
        f"{plan.table} was not converted after {MAX_STEPS} steps: somebody keeps changing it. "
        "It is in use as before. Find out who does, then start again."
    )


def _refuse_what_would_fail(connection: psycopg.Connection[Any], plan: PartitionPlan) -> None:
    """Name what would go wrong later, before anything is touched."""
    refuse_unfit_columns(connection, plan)
    refuse_obstacles(connection, plan)
    _refuse_taken_names(connection, plan)
    for index in plan.needed_indexes:
        refuse_other_definition(connection, plan.table, index)


def _refuse_taken_names(connection: psycopg.Connection[Any], plan: PartitionPlan) -> None:
    for relation in (plan.legacy, plan.interim, plan.aside):
        row = connection.execute(_COMMENT_IF_THERE, (relation.quoted,)).fetchone()
        if row is not None and not (relation == plan.aside and row[0] == ASIDE_COMMENT):
            raise PermanentError(
                f"{plan.table} cannot be made a partition, because there is a {relation} already. It is as it was, "
                "and in use. Rename or drop the other one."
            )


def _take(connection: psycopg.Connection[Any], plan: PartitionPlan, state: ConversionState) -> None:
    match state.next_step:
        case Step.REPLACE_EMPTY:
            replace_empty(connection, plan)
        case Step.BUILD_INDEX:
            for index in plan.needed_indexes:
                ensure_index(connection, plan.table, index)
        case Step.ADD_BOUND:
            add_bound(connection, plan)
        case Step.DROP_BOUND:
            drop_bound(connection, plan)
        case Step.VALIDATE_BOUND if state.bound is not None:
            move_misdated(connection, plan, state.bound)
            validate_bound(connection, plan)
        case Step.SWAP if state.bound is not None:
            swap(connection, plan, state.bound)
