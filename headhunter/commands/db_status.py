"""What ``headhunter db status`` and ``headhunter db history`` show of a database, for people and for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

import typer

from headhunter.commands.databases import print_json
from headhunter.commands.db_size import show_size, size_rows, told_size
from headhunter.faults import TEMPORARY
from headhunter.output import print_table
from logs_db.size import DatabaseSize
from migrator.state import DatabaseState, State
from migrator.status import Applied, Move


def show_states(
    states: Mapping[str, DatabaseState], *, single: bool, as_json: bool, size: DatabaseSize | None = None
) -> None:
    """
    Show the states, by database; *single*: the one that was asked for by its name, with its *size* where it is known.

    Raises:
        typer.Exit: One of them could not be asked; with 75.
    """
    if as_json:
        sized = {"size": told_size(size)} if size else {}
        told = {name: asdict(state) | sized for name, state in states.items()}
        print_json(next(iter(told.values())) if single else told)
    elif single:
        [(name, state)] = states.items()
        print_table(("database", name), (_details(state) | (size_rows(size) if size else {})).items())
        if size:
            show_size(size)
    else:
        print_table(
            ("database", "state", "revision", "head of this code", "why"),
            [
                (name, state, state.revision or "none", state.head or "unknown", state.reason)
                for name, state in states.items()
            ],
        )
    if any(state.state is State.UNREACHABLE for state in states.values()):
        raise typer.Exit(TEMPORARY)


def _details(state: DatabaseState) -> dict[str, object]:
    return {
        "state": state,
        "why": state.reason,
        "may be used by this code": "yes" if state.is_usable else "no",
        "revision": state.revision or "none",
        "head of this code": state.head or "unknown",
        "compatible with code from": state.floor or "not recorded",
        "pending": ", ".join(state.pending) or "nothing",
        "migrating now": state.migration or "nobody",
        "invalid": "; ".join(f"{name}: {cure}" for name, cure in state.invalid_objects.items()) or "nothing",
        "broken off": "; ".join(map(str, state.bounds)) or "no conversion",
        "drifted in": "; ".join(state.differences) or "nothing",
    }


def show_chain(chain: Sequence[Applied]) -> None:
    """Show the revisions, oldest first, and when each came into the database."""
    print_table(
        ("revision", "applied", "by", "compatible with", "title"),
        [
            (
                one.revision,
                _moment(one.applied_at) if one.applied_at else "yes" if one.is_applied else "pending",
                one.applied_by,
                one.compatible_with,
                one.title,
            )
            for one in chain
        ],
    )


def show_moves(moves: Sequence[Move]) -> None:
    """Show what was done to the database when, failures too, the latest last."""
    print_table(
        ("when", "what", "outcome", "took", "by"),
        [(_moment(move.applied_at), _what(move), _outcome(move), _took(move), _who(move)) for move in moves],
    )


def _what(move: Move) -> str:
    return f"{move.direction or 'move'} {move.from_revision or 'nothing'} to {move.to_revision or 'nothing'}"


def _outcome(move: Move) -> str:
    times = f" {move.attempts} times" if move.outcome != "done" and (move.attempts or 1) > 1 else ""
    return f"{move.outcome}{times}{f': {move.error}' if move.error else ''}"


def _took(move: Move) -> str:
    if move.duration_ms is None:
        return ""
    waited = f", waited {move.lock_wait_ms} ms in {move.attempts} attempts" if move.lock_wait_ms else ""
    return f"{move.duration_ms} ms{waited}"


def _who(move: Move) -> str:
    return f"{move.applied_by}{f' on {move.host}' if move.host else ''}, {move.code_version or 'unknown code'}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
