"""Where the command vrcnn-int begins. It loads what its commands need only when signals can end it at any moment."""

from vrcnn_int import process


def main() -> None:
    """Entry point of the command `vrcnn-int`."""
    process.begin()
    from vrcnn_int.cli.commands import app
    from vrcnn_int.io.console import run

    run(app)
