"""The reads of one request: as fresh as it asks for, and its answer says how fresh they are."""

from typing import Annotated, Final

from fastapi import Depends, Header, Response

from api.fresh_reader import FreshReader, Result, Work
from api.state import State
from logs_db.replication import parse_lsn

MIN_LSN: Final = "X-Logs-Min-LSN"
LSN: Final = "X-Logs-LSN"
READ_FROM: Final = "X-Logs-Read-From"
STALENESS: Final = "X-Logs-Staleness-Seconds"


class RequestReader:
    """Reads for *response*, none older than *min_position* in the log of the primary."""

    def __init__(self, reader: FreshReader, response: Response, min_position: int | None) -> None:
        self._reader = reader
        self._response = response
        self._min_position = min_position

    async def run(self, work: Work[Result]) -> Result:
        """
        What *work* makes of one session; it may be called twice.  Its freshness goes into the headers of the response.

        Raises:
            psycopg.Error: The database is away, silent, or refused a query; too many wait already.
        """
        answer = await self._reader.answer(work, self._min_position)
        headers = self._response.headers
        headers[READ_FROM] = answer.read_from
        headers[STALENESS] = f"{answer.staleness_seconds:.3f}"
        if answer.lsn is not None:
            headers[LSN] = answer.lsn
        return answer.result


def _reader(
    state: State,
    response: Response,
    min_lsn: Annotated[
        str | None,
        Header(
            alias=MIN_LSN,
            pattern=r"\A[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}\z",
            description=f"{LSN} of an earlier answer, or pg_current_wal_insert_lsn() after a write of one's own: this "
            "answer is not older.",
        ),
    ] = None,
) -> RequestReader:
    return RequestReader(state.reader, response, None if min_lsn is None else parse_lsn(min_lsn))


Reader = Annotated[RequestReader, Depends(_reader)]
"""A route's parameter of this type reads for its request."""
