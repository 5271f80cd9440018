"""The commands, as the command line describes itself."""

from collections.abc import Iterator
from typing import Any

import typer

from documents.markdown import first_sentence, markdown_table
from headhunter.__main__ import application


def commands_section() -> str:
    """README's table of commands, as the command line itself describes them."""
    program = typer.main.get_command(application)
    context = program.context_class(program, info_name="headhunter")
    return markdown_table(("Command", "What it does"), command_rows(program, context))


def command_rows(group: Any, context: Any) -> Iterator[tuple[str, str]]:
    """The commands below *group*, each with its arguments and the first sentence of its help."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = command.context_class(command, info_name=name, parent=context)
        if hasattr(command, "list_commands"):
            yield from command_rows(command, inner)
        else:
            usage = " ".join([inner.command_path, *command.collect_usage_pieces(inner)])
            yield f"`{usage}`", first_sentence(command.help)
