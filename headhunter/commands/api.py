"""``headhunter api``."""

import sys

from headhunter.console import set_up_logging


def api() -> None:
    """
    Serve health and logs over HTTP until SIGTERM or Ctrl-C.

    Needs DATABASE_URL, LOGS_DATABASE_URL and REDIS_URL; the admin routes need ADMIN_TOKEN. Ends with 0 when told to
    stop, 2 where it cannot listen on API_HOST and API_PORT, 75 where somebody else listens there.
    """
    from api.settings import ApiSettings  # noqa: PLC0415 - a fault in the settings is told before the rest is loaded

    set_up_logging()
    settings = ApiSettings()
    from api.run import run  # noqa: PLC0415 - likewise

    sys.exit(run(settings))
