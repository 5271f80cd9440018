"""Keeps passwords out of what people read."""

import re

HIDDEN = "***"
_SECRET_NAMES = re.compile(r"passw|secret|token(?!s)|credential|authorization|api_?key", re.IGNORECASE)
# Greedy: an unencoded @ in a password must not let the rest of it show.  The word "password" itself is what messages
# write that tell how a URL looks.
_URL_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^:/@\s]*):(?!password@)\S*@", re.IGNORECASE)
_PARAMETER_PASSWORD = re.compile(r"(\bpassword\s*=\s*)('[^']*'|[^\s&]+)", re.IGNORECASE)


def without_passwords(text: str) -> str:
    """Return *text* with the passwords of URLs and connection strings hidden."""
    return _PARAMETER_PASSWORD.sub(rf"\1{HIDDEN}", _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", text))


def is_secret(name: str) -> bool:
    """Tell whether a field called *name* holds something that nobody may read."""
    return bool(_SECRET_NAMES.search(name))
