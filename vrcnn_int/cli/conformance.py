"""vrcnn-int conformance: the suite that any implementation must pass."""

from pathlib import Path
from typing import Annotated

import typer

from vrcnn_int.conformance import Suite
from vrcnn_int.conformance.verify import MOST_SECONDS, Oracle, Program, show_results, verify
from vrcnn_int.io.console import console, progress_bar
from vrcnn_int.io.options import finite
from vrcnn_int.text import counted


def make_suite(folder: Annotated[Path, typer.Argument(help="Folder to make.")]) -> None:
    """Write the suite from the oracle: the same bytes on every machine, and those that are shipped."""
    from vrcnn_int.conformance.make import make

    suite = make(folder)
    console.print(f"wrote {folder}: {counted(suite.vectors, 'vector')}", soft_wrap=True, highlight=False)


def verify_implementation(
    folder: Annotated[Path | None, typer.Argument(help="The suite; default: the one that is shipped.")] = None,
    command: Annotated[
        str | None,
        typer.Option(help="A program that filters a picture, with {model} {network} {width} {height} {depth} {scale} {input} {output}."),
    ] = None,
    layer_command: Annotated[
        str | None, typer.Option(help="One that writes the values of a hidden layer: with {layer}, from 0, instead of {scale}.")
    ] = None,
    sideinfo_command: Annotated[
        str | None, typer.Option(help="One that prints what side information means: {width} {height} {irap} {version} {input}.")
    ] = None,
    joint_command: Annotated[
        str | None,
        typer.Option(
            help="One that filters planes: {model} {network} {width} {height} {format} {depths} {weights} {input} {output}, such as"
            " format 420, depths 8,10, weights 8/8."
        ),
    ] = None,
    joint_layer_command: Annotated[
        str | None, typer.Option(help="One that writes the values of a hidden layer of planes: with {layer} instead of {weights}.")
    ] = None,
    largest: Annotated[int | None, typer.Option(help="Leave out pictures of more samples.", min=1)] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for one run of a program.", min=0.01, max=MOST_SECONDS, callback=finite)] = 600,
) -> None:
    """Compare any implementation with the suite, bit for bit; without a command: the oracle of this installation.

    What the files hold and what programs print: c/SPECIFICATION.md, section 9.
    """
    suite = Suite.load(folder)
    commands = (command, layer_command, sideinfo_command, joint_command, joint_layer_command)
    implementation = Program(*commands, timeout=timeout) if any(each is not None for each in commands) else Oracle()
    with progress_bar() as progress:
        task = progress.add_task("conformance", total=suite.vectors)
        results = verify(suite, implementation, largest, lambda name: progress.advance(task))
    show_results("\n".join(filter(None, commands)) or "oracle", results)
