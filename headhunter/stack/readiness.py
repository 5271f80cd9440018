"""Asks the API whether everything behind it is usable."""

import http.client
import json
from contextlib import suppress
from urllib.parse import urlsplit

_ANSWER_SECONDS = 2.0


def is_ready(api_url: str) -> bool:
    """Tell whether `/readyz` answers 200."""
    return _get(api_url)[0] == http.HTTPStatus.OK


def why_not_ready(api_url: str) -> str:
    """Return what `/readyz` says, or that nobody answers."""
    status, body = _get(api_url)
    return f"/readyz answers {status}: {body}" if status else "the API does not answer"


def _get(api_url: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(urlsplit(api_url).netloc, timeout=_ANSWER_SECONDS)
    try:
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            body = answer.read().decode(errors="replace")
            with suppress(ValueError):
                body = json.dumps(json.loads(body))
            return answer.status, body
        return 0, ""
    finally:
        connection.close()
