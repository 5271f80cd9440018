"""`headhunter up`: everything in its order, and everything taken back in the reverse of it."""

import os
import threading
import time

from headhunter.stack.backing import BackingServers
from headhunter.stack.balance import Balance
from headhunter.stack.folder import StackFolder
from headhunter.stack.given import given_urls
from headhunter.stack.options import StackOptions
from headhunter.stack.progress import Progress, progress
from headhunter.stack.stack import Stack, stopped_by_signals
from servers.ports import LOOPBACK, free_port

DONE = 0
UNEVEN = 1
_FAILED_STOP_SECONDS = 5.0


def run_stack(options: StackOptions) -> int:
    """
    Start the whole system, show what flows, stop it on SIGINT or SIGTERM; return the exit code.

    Raises:
        pydantic.ValidationError: What the environment names is wrong; nothing was started.
        FolderInUseError: A stack runs on this folder already.
        ServerError: PostgreSQL or Valkey did not start.
        StackError: Something ended by itself; all the rest was stopped.
    """
    given = given_urls()
    folder, shown, stop = StackFolder(options.folder), progress(), threading.Event()
    folder.open()
    try:
        with stopped_by_signals(stop):
            began = time.monotonic()
            shown.step("Starting PostgreSQL and Valkey")
            with BackingServers.start(folder.path, given, json_log=options.demo) as servers:
                return _run_programs(options, folder, servers, given.get("ADMIN_TOKEN"), shown, stop, began)
    finally:
        folder.close()


def _run_programs(
    options: StackOptions,
    folder: StackFolder,
    servers: BackingServers,
    given_token: str | None,
    shown: Progress,
    stop: threading.Event,
    began: float,
) -> int:
    port = options.port or int(os.environ.get("API_PORT") or 0) or free_port()
    urls = servers.urls | {
        "API_URL": f"http://{LOOPBACK}:{port}",
        "ADMIN_TOKEN": given_token or folder.admin_token(),
    }
    balance = None
    if options.demo:
        balance = Balance(folder.path / "demo-tally", urls["LOGS_DATABASE_URL"], urls["REDIS_URL"])
    environment = {"API_HOST": LOOPBACK, "API_PORT": str(port)} | (balance.environment if balance else {})
    stack = Stack(folder, servers, urls, environment, shown)
    try:
        shown.step("Starting worker and API, bringing both databases to their heads")
        stack.start(stop)
        if not stop.is_set():
            _announce(shown, urls["API_URL"], folder, time.monotonic() - began)
        if balance and not stop.is_set():
            postgres_log = ("--postgres-log", str(servers.json_log)) if servers.json_log else ()
            stack.launch("demo", "--speed", str(options.speed), *postgres_log)
        stack.watch(stop)
        stack.end(write_all=options.demo)
    except BaseException:
        stack.end(_FAILED_STOP_SECONDS)
        raise
    shown.say("Stopped; all data are kept")
    return _settle(balance, shown) if balance else DONE


def _announce(shown: Progress, api_url: str, folder: StackFolder, seconds: float) -> None:
    shown.say(f"Ready after {seconds:.1f} s")
    shown.say(f"API          {api_url}")
    shown.say(f"Admin token  ADMIN_TOKEN in {folder.environment_path}, with all URLs")
    shown.say("Stop it      Ctrl-C")


def _settle(balance: Balance, shown: Progress) -> int:
    for line in balance.lines():
        shown.say(line)
    return DONE if balance.is_even() else UNEVEN
