"""Files that a command writes beside what it prints."""

from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from codec_bridge.report import document as report
from codec_bridge.report import markdown as markdown_report
from codec_bridge.report import page as html_report
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

    def write_rows(self, document: dict[str, Any]) -> None:
        """JSON and CSV of an evaluation."""
        if self.json:
            report.write_json(self.json, document)
        if self.csv:
            report.write_csv(self.csv, document["rows"])

    def write_views(self, document: dict[str, Any], folder: Path | None) -> None:
        """The page, the Markdown tables and the RD curves of an evaluation; folder: where its crops are."""
        if self.html:
            html_report.write_html(self.html, document, folder)
        if self.markdown:
            markdown_report.write_markdown(self.markdown, document)
        if self.plot:
            report.write_plot(self.plot, document)

    def say_written(self) -> None:
        """One line that names them, if there are any."""
        if self.files:
            console.print(f"wrote {', '.join(map(str, self.files))}", soft_wrap=True, highlight=False)
