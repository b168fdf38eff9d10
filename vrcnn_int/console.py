"""What every command line here has in common: errors are one line, interruptions are said, exit codes are non-zero."""

import sys

import typer
from rich.console import Console

from vrcnn_int.errors import VrcnnError

console = Console()
notices = Console(stderr=True)


INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


def run(app: typer.Typer) -> None:
    """Run a typer application: VrcnnError -> `error: ...` and exit code 1, interruption -> a line and exit code 130."""
    try:
        code = app(standalone_mode=False)  # typer returns the code of its own Exit, also of the one it makes of Ctrl-C
    except VrcnnError as error:
        print(f"error: {error}", file=sys.stderr)
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
