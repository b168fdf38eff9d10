"""Files that a command writes beside what it prints."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

from rich.console import Console

from codec_bridge.report.document import Document, write_json
from codec_bridge.report.markdown import write_markdown
from codec_bridge.report.page import write_html
from codec_bridge.report.plot import write_plot
from codec_bridge.report.tables import write_csv
from vrcnn_int.errors import VrcnnError
from vrcnn_int.extras import require
from vrcnn_int.files import check_outputs, is_stream
from vrcnn_int.io.console import console_beside


def check_png(path: Path) -> None:
    """Raise VrcnnError for a name that promises another format than the one that is written."""
    if path.suffix.lower() != ".png" and not is_stream(path):
        raise VrcnnError(f"the picture is written as .png, not as {path.name!r}")


@dataclass(frozen=True)
class Outputs:
    """The files that were asked for."""

    json: Path | None = None
    csv: Path | None = None
    html: Path | None = None
    markdown: Path | None = None
    plot: Path | None = None

    @property
    def files(self) -> list[Path]:
        """All of them, in the order of the fields."""
        return [path for path in astuple(self) if path is not None]

    @property
    def console(self) -> Console:
        """Where tables go: not between the lines of a file that is standard output."""
        return console_beside(*self.files)

    def prepare(self, inputs: Iterable[Path | None] = (), kept: Iterable[Path | None] = ()) -> None:
        """Make their folders. Raises VrcnnError for a file that cannot be, before any work is done.

        inputs: files that the command reads. kept: folders and files that are not the user's to write, None for what was not given.
        """
        if self.plot is not None:
            check_png(self.plot)
            require("--plot", "eval", "matplotlib")
        if self.html is not None:
            require("--html", "eval", "jinja2", "scipy")
        places = [place.resolve() for place in kept if place]
        for path in self.files:
            if any(path.resolve().is_relative_to(place) for place in places):
                raise VrcnnError(f"{path} is where results or streams are kept; give the output another name")
        check_outputs(self.files, inputs, make_folders=True)

    def write_rows(self, document: Document) -> None:
        """JSON and CSV of an evaluation."""
        if self.json:
            write_json(self.json, document.to_json())
        if self.csv:
            write_csv(self.csv, document.rows)

    def write_views(self, document: Document, folder: Path | None) -> None:
        """The page, the Markdown tables and the RD curves of an evaluation; folder: where its crops are."""
        if self.html:
            write_html(self.html, document, folder)
        if self.markdown:
            write_markdown(self.markdown, document)
        if self.plot:
            write_plot(self.plot, document)

    def say_written(self) -> None:
        """One line that names them, if there are any."""
        if self.files:
            self.console.print(f"wrote {', '.join(map(str, self.files))}", soft_wrap=True, highlight=False)
