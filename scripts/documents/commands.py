"""The commands, as the command line describes itself."""

from collections.abc import Iterator
from enum import EnumType
from typing import Any, Literal, get_args, get_origin

import typer

from documents.markdown import first_sentence, markdown_table
from headhunter.__main__ import application


def commands_section() -> str:
    """README's table of commands, as the command line itself describes them."""
    program = typer.main.get_command(application)
    context = program.context_class(program, info_name="headhunter")
    return markdown_table(("Command", "What it does"), command_rows(program, context))


def command_rows(group: Any, context: Any) -> Iterator[tuple[str, str]]:
    """The commands below *group*, each with its parameters and the first sentence of its help."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = command.context_class(command, info_name=name, parent=context)
        if hasattr(command, "list_commands"):
            yield from command_rows(command, inner)
        else:
            usage = " ".join([inner.command_path, *map(written, command.params)])
            yield f"`{usage}`", first_sentence(command.help)


def written(parameter: Any) -> str:
    """How *parameter* is written on a command line; in brackets where it may be left out."""
    if parameter.param_type_name == "argument":
        text = value_of(parameter)
    else:
        option = max(parameter.opts, key=len)
        text = option if parameter.is_flag else f"{option} {value_of(parameter)}"
    return text if parameter.required else f"[{text}]"


def value_of(parameter: Any) -> str:
    """What stands for the value of *parameter*: its choices, N for a number, else a word in capitals."""
    annotation = parameter.type_descriptor.annotation
    if isinstance(annotation, EnumType):
        return "|".join(str(choice.value) for choice in annotation)
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    if annotation in {int, float}:
        return "N"
    return str(parameter.metavar or parameter.name).upper()
