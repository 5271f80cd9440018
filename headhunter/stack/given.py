"""What the environment already names, so that the stack need not start it."""

import os
from typing import Any

from api.settings import ApiSettings

#: Where these would point if the stack started them itself: distinct, well-formed and never connected to.
_PLACEHOLDERS = {
    "database_url": "postgresql://127.0.0.1/headhunter_db",
    "logs_database_url": "postgresql://127.0.0.1/headhunter_logs",
    "redis_url": "redis://127.0.0.1/0",
}


def given_urls() -> dict[str, str]:
    """
    Return those of DATABASE_URL, LOGS_DATABASE_URL, REDIS_URL and ADMIN_TOKEN that the environment sets.

    Raises:
        pydantic.ValidationError: All that is wrong with them together, before anything is started.
    """
    names = (*_PLACEHOLDERS, "admin_token")
    given = {name: os.environ[name.upper()] for name in names if os.environ.get(name.upper())}
    missing: dict[str, Any] = {name: url for name, url in _PLACEHOLDERS.items() if name not in given}
    settings = ApiSettings(**missing)
    return {name.upper(): getattr(settings, name).get_secret_value() for name in given}
