"""The command line.  Each command's module is imported only when it is run, so that a worker starts fast."""

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from headhunter.faults import explained

#: Command and the module that holds it: as a Typer application named `app`, or as a function of the command's name.
COMMANDS = {
    "up": "headhunter.commands.up",
    "worker": "headhunter.commands.worker",
    "api": "headhunter.commands.api",
    "db": "headhunter.commands.db",
    "logs": "headhunter.commands.logs",
    "demo": "headhunter.commands.demo",
}
HIDDEN = {"demo"}


class LazyGroup(TyperGroup):
    """The commands of COMMANDS, each loaded when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands to show."""
        del ctx
        return [name for name in COMMANDS if name not in HIDDEN]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return one command, or None where there is none of that name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name])
        application = getattr(module, "app", None)
        if application is None:
            application = typer.Typer(add_completion=False)
            application.command(cmd_name)(getattr(module, cmd_name))
        command = typer.main.get_command(application)
        command.name = cmd_name
        return command


application = typer.Typer(
    cls=LazyGroup, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)


@application.callback()
def headhunter() -> None:
    """Two databases whose schemas never drift, and logging that never slows the business down."""


def main() -> None:
    """
    Run the command that the command line names.

    Exit codes: 0 done, 1 a check found something, 2 wrong usage or settings, 70 permanent (retrying will not help),
    75 temporary (try again).
    """
    try:
        _send_own_logs()
        typer.main.get_command(application)(prog_name="headhunter")
    except Exception as error:
        fault = explained(error)
        if fault is None:
            raise
        print(fault.message, file=sys.stderr)
        sys.exit(fault.exit_code)


def _send_own_logs() -> None:
    command = next(iter(sys.argv[1:]), "")
    tally_folder = os.environ.get("HEADHUNTER_DEMO_TALLY")
    if tally_folder and command in {"worker", "api", "db"}:
        from headhunter.stack.own_logs import send_and_tally_own_logs  # noqa: PLC0415  (only a demo pays for it)

        send_and_tally_own_logs(f"headhunter {command}", Path(tally_folder))


if __name__ == "__main__":
    main()
