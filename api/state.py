"""What the routes of one process share, made when it starts and closed when it stops."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.fresh_reader import FreshReader
from api.health.board import HealthBoard
from api.page_cursor import CursorCodec
from api.settings import ApiSettings


@dataclass(frozen=True, slots=True)
class ApiState:
    """Settings and open resources of one process."""

    settings: ApiSettings
    board: HealthBoard
    reader: FreshReader
    cursors: CursorCodec


def _state(request: Request) -> ApiState:
    state: ApiState = request.state.api
    return state


State = Annotated[ApiState, Depends(_state)]
"""A route's parameter of this type gets the state of the process."""
