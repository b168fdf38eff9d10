"""What every command line here has in common: errors are one line, interruptions are said, exit codes are non-zero."""

import sys

import typer
from rich.console import Console

from vrcnn_int.errors import VrcnnError

console = Console()
notices = Console(stderr=True)


def run(app: typer.Typer) -> None:
    """Run a typer application: VrcnnError -> `error: ...` and exit code 1, interruption -> exit code 130."""
    try:
        app(standalone_mode=False)
    except VrcnnError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it can", file=sys.stderr)
        sys.exit(130)
    except typer.Exit as leave:
        sys.exit(leave.exit_code)
    except typer.Abort:
        sys.exit(130)
    except Exception as error:
        # click's own usage errors know how to show themselves; everything else is a fault of ours and keeps its traceback.
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        sys.exit(getattr(error, "exit_code", 2))
