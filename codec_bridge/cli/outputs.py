"""Files that a command writes beside what it prints."""

from dataclasses import astuple, dataclass
from pathlib import Path

from codec_bridge.report.document import Document, write_json
from codec_bridge.report.markdown import write_markdown
from codec_bridge.report.page import write_html
from codec_bridge.report.plot import write_plot
from codec_bridge.report.tables import write_csv
from vrcnn_int.console import console
from vrcnn_int.errors import VrcnnError


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

    def prepare(self) -> None:
        """Make their folders. Raises VrcnnError for a file that cannot be, before any work is done."""
        if len(set(self.files)) < len(self.files):
            raise VrcnnError("every output needs a file of its own")
        if self.plot is not None and self.plot.suffix.lower() != ".png":
            raise VrcnnError(f"the plot is a .png, not {self.plot.name!r}")
        for path in self.files:
            if path.is_dir():
                raise VrcnnError(f"{path} is a folder; give a file name")
            path.parent.mkdir(parents=True, exist_ok=True)

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
            console.print(f"wrote {', '.join(map(str, self.files))}", soft_wrap=True, highlight=False)
