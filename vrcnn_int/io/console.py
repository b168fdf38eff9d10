"""What every command line here has in common: errors are one line, interruptions are said, exit codes are non-zero."""

import gc
import inspect
import os
import signal
import sys
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from typing import Annotated, get_type_hints

import typer
from rich.console import Console, HighlighterType, JustifyMethod, OverflowMethod
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.style import Style
from rich.table import Table
from rich.text import Text
from typer.models import ParameterInfo

from vrcnn_int import process
from vrcnn_int.errors import VrcnnError
from vrcnn_int.extras import advice, extra_of
from vrcnn_int.files import is_standard_output
from vrcnn_int.text import plain
from vrcnn_int.version import __version__

ENDLESS = 10_000
"""Characters a line, where it is no terminal that shows it."""


class _Console(Console):
    """Shows strings as they are: no markup, no smileys, no highlights, and nothing that controls a terminal. Not wrapped in a pipe."""

    def __init__(self, stderr: bool = False) -> None:
        wide = "COLUMNS" not in os.environ and not os.isatty(2 if stderr else 1)
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, width=ENDLESS if wide else None)

    def render_str(
        self,
        text: str,
        *,
        style: str | Style = "",
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        emoji: bool | None = None,
        markup: bool | None = None,
        highlight: bool | None = None,
        highlighter: HighlighterType | None = None,
    ) -> Text:
        """A string as it is shown, in print and in the cells of tables."""
        return super().render_str(plain(text), style=style, justify=justify, overflow=overflow, emoji=False, markup=False, highlight=False)


console = _Console()
notices = _Console(stderr=True)


def console_beside(*outputs: Path | None) -> Console:
    """Where a command that writes these files says things: on standard error where one of them is standard output itself."""
    return notices if any(path is not None and is_standard_output(path) for path in outputs) else console


def show_table(table: Table, to: Console = console) -> None:
    """Print a table with all that its cells hold, wider than the terminal if it must be."""
    needed = to.measure(table, options=to.options.update(max_width=ENDLESS)).maximum
    if needed > to.width:
        table.width = needed
    to.print(table, crop=False)


def command_line(help: str, commands: Mapping[str, Callable[..., None] | typer.Typer], program: str = "") -> typer.Typer:
    """Commands and groups of commands under one name, in the order of their help. program: what --version names; none: no such option."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=help)
    if program:
        app.callback()(_version_option(program))
    for name, command in commands.items():
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            _leave_files_to(command)
            app.command(name, help=_unwrapped(inspect.getdoc(command) or ""))(command)
    return app


def _leave_files_to(command: Callable[..., None]) -> None:
    """What cannot be read is said by who reads it, in one line, and is no mistake of usage."""
    for hint in get_type_hints(command, include_extras=True).values():
        for parameter in getattr(hint, "__metadata__", ()):
            if isinstance(parameter, ParameterInfo):
                parameter.readable = False


def _unwrapped(text: str) -> str:
    """Paragraphs in a line each, which whoever shows them wraps: their lines in the source are no lines of a terminal."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _version_option(program: str) -> Callable[..., None]:
    """The option of a whole program."""

    def show(wanted: bool) -> None:
        if wanted:
            console.print(f"{program} {__version__}")
            raise typer.Exit

    def options(
        version: Annotated[bool, typer.Option("--version", help="Say which version this is.", callback=show, is_eager=True)] = False,
    ) -> None:
        pass

    return options


class Description(TextColumn):
    """What a task is, as it is: no markup, and nothing that controls a terminal."""

    def __init__(self) -> None:
        super().__init__("{task.description}")

    def render(self, task: Task) -> Text:
        return Text(plain(task.description))


def progress_bar(*more: ProgressColumn) -> Progress:
    """A progress bar on standard error; silent where that is no terminal."""
    columns = Description(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    # What is printed meanwhile goes above the bar where a terminal shows both, else where it is to go.
    above = console.is_terminal
    return Progress(*columns, *more, console=notices, transient=True, redirect_stdout=above, disable=not notices.is_terminal)


READER_GONE = 128 + signal.SIGPIPE
"""Exit code, as of any program in a pipe whose reader has seen enough."""


def run(app: typer.Typer) -> None:
    """Run a typer application: VrcnnError -> `error: ...` and exit code 1, a signal -> a line and 128 with its number.

    Signals unwind, so that no temporary file stays behind. Whoever stops reading what is printed ends the command without a word.
    """
    process.run_until_signals()
    try:
        code = _code_of(app)
        sys.stdout.flush()
    except process.ReaderGone:
        code = READER_GONE
    except OSError as error:  # of the last line
        code = _fail(f"{error.filename}: {error.strerror}")
    if process.unwinding:
        gc.freeze()  # what a signal left is not collected once more on the way out, which took seconds
    sys.exit(code)


def _code_of(app: typer.Typer) -> int:
    """The exit code of a command; what it ended with has been said."""
    try:
        code = _code_of_command(app)
    except Exception:
        if not process.unwinding:
            raise
        code = 128 + process.unwinding[0]  # a library has made another error of it, as those that are being loaded do
    for number, text in process.SIGNALS.items():
        if code == 128 + number:
            print(text, file=sys.stderr)
    return code


def _code_of_command(app: typer.Typer) -> int:
    """The same, but for signals, which are still to be said."""
    try:
        code: int = app(standalone_mode=False)  # typer returns the code of its own Exit, also of the one it makes of Ctrl-C
    except VrcnnError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        extra = extra_of(error.name or "")
        if extra is None:
            raise
        return _fail(advice("this", str(error.name), extra))
    except OSError as error:
        # A file where a folder should be, no memory: the system's own words say it.
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"{place}{error.strerror or error}")
    except MemoryError as error:
        return _fail(f"out of memory{f' ({error})' if str(error) else ''}")
    except (KeyboardInterrupt, typer.Abort):
        code = 128 + signal.SIGINT
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except Exception as error:
        # click's own usage errors know how to show themselves; everything else is a fault of ours and keeps its traceback.
        show = getattr(error, "show", None)
        if show is None:
            raise
        shown = StringIO()
        show(file=shown)
        for line in shown.getvalue().splitlines():
            print(plain(line), file=sys.stderr)
        code = int(getattr(error, "exit_code", 2))
    return code


def _fail(text: str) -> int:
    print(f"error: {plain(text)}", file=sys.stderr)
    return 1
