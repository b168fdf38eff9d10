"""What every command line here has in common: errors are one line, interruptions are said, exit codes are non-zero."""

import signal
import sys
from collections.abc import Callable, Mapping

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from vrcnn_int.errors import VrcnnError

# No markup: file names may hold brackets.
console = Console(markup=False)
notices = Console(stderr=True, markup=False)


def command_line(help: str, commands: Mapping[str, Callable[..., None] | typer.Typer]) -> typer.Typer:
    """Commands and groups of commands under one name, in the order of their help."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=help)
    for name, command in commands.items():
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def progress_bar(*more: ProgressColumn) -> Progress:
    """A progress bar on standard error; silent where that is no terminal."""
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, *more, console=notices, transient=True, disable=not notices.is_terminal)


INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


def run(app: typer.Typer) -> None:
    """Run a typer application: VrcnnError -> `error: ...` and exit code 1, interruption -> a line and exit code 130.

    Being terminated or hung up unwinds too, so that no temporary file stays behind.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    try:
        code = app(standalone_mode=False)  # typer returns the code of its own Exit, also of the one it makes of Ctrl-C
    except VrcnnError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        # A full disk, a file where a folder should be, a closed pipe: the system's own words say it.
        place = f"{error.filename}: " if error.filename else ""
        print(f"error: {place}{error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        # click's own usage errors know how to show themselves; everything else is a fault of ours and keeps its traceback.
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        code = getattr(error, "exit_code", 2)
    if code == INTERRUPTED:
        print("interrupted", file=sys.stderr)
    sys.exit(code)
