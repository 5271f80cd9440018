"""Who may use the admin routes: whoever knows the token.  No token set means nobody."""

import hashlib
import hmac
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.state import State

_bearer = HTTPBearer(auto_error=False, description="The value of ADMIN_TOKEN.")


class AdminClosedError(Exception):
    """No ADMIN_TOKEN is set: the admin routes are closed to everybody."""


class AdminTokenError(Exception):
    """The request carries no token, or not the right one."""


def require_admin(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)], state: State) -> None:
    """
    Let a request with the right bearer token pass.

    Raises:
        AdminClosedError: No token is set.
        AdminTokenError: The token is missing or wrong.
    """
    token = state.settings.admin_token
    if token is None:
        raise AdminClosedError
    given = "" if credentials is None else credentials.credentials
    # Digests are of one length, so that not even the token's length shows in the time this takes.
    if not hmac.compare_digest(_digest(given, "latin-1"), _digest(token.get_secret_value(), "utf-8")):
        raise AdminTokenError


def _digest(text: str, encoding: str) -> bytes:
    # Headers come as latin-1; encoding them back gives the bytes that the client sent.
    return hashlib.sha256(text.encode(encoding, "replace")).digest()
