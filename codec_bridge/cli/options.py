"""Options that several commands have, and what their texts mean."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from codec_bridge import codecs
from codec_bridge.evaluation.plan import parse_size
from codec_bridge.evaluation.settings import MOST_FRAMES
from codec_bridge.video.catalogue import Sequence, resolve
from vrcnn_int.errors import VrcnnError
from vrcnn_int.models import DEFAULT, model_path, set_names
from vrcnn_int.network import KINDS, POSITIONS, SIZES

Sequences = Annotated[
    list[str], typer.Option(help="A set (builtin, ctc, ctc:B), a catalogued sequence, a folder or a video file; may be given again.")
]
SearchPath = Annotated[str | None, typer.Option(help="Folders with catalogued sequences; default: environment variable VRCNN_SEQUENCES.")]
DEFAULT_QPS = "22,27,32,37"
Qps = Annotated[str, typer.Option(help="QPs, separated by commas.")]
Frames = Annotated[
    str, typer.Option(help="Pictures a sequence, or auto: 4 under 110 000 samples, 2 under 900 000, else 1; 16 if not all-intra.")
]
_OFFLINE, _INSIDE = (", ".join(f"{codec.name} ({codec.origin})" for codec in codecs.every() if codec.inside is i) for i in (False, True))
_BY_CODEC = "; ".join(f"{codec.name}: {', '.join(codec.configurations)}" for codec in codecs.every())
DEFAULT_VARIANTS = "; ".join(f"{codec.name} {','.join(codec.default_variants)}" for codec in codecs.every())

Folders = Mapping[str, Path]
"""Of the codecs' programs, by name; see takes_folders."""


def model_option(default: str) -> Any:
    """The option that names a model set. default: in words."""
    text = f"Model set: a .vrcnn file, or one that is shipped: {', '.join(set_names())}; default: {default}."
    return typer.Option(parser=model_path, metavar="<set>", help=text)


CodecName = Annotated[str, typer.Option(help=f"{_OFFLINE}, filtered after decoding; with the filter inside {_INSIDE}.")]
Configuration = Annotated[str, typer.Option(help=f"{_BY_CODEC}.")]
ModelFile = Annotated[Path | None, model_option(DEFAULT)]
Kernel = Annotated[str, typer.Option(help="auto, or one that `codec-bridge bench` lists.")]
Backend = Annotated[str, typer.Option(help="What filters decoded pictures: c (the C library) or cuda (a GPU; `make cuda`).")]
Position = Annotated[str, typer.Option(help=f"Where the filter stands: {' or '.join(POSITIONS)}.")]
Kind = Annotated[
    str | None,
    typer.Option(help=f"Of the networks: {' or '.join(KINDS)} (luma and 4:2:0 chroma); default: what the set has, luma if it has both."),
]
NetworkSize = Annotated[str, typer.Option(help=f"Of the networks: {' or '.join(SIZES)}; where the set has none, the other serves.")]
Workers = Annotated[int | None, typer.Option(help="Jobs at once; default: one a core.", min=1, max=4096)]
CsvFile = Annotated[Path | None, typer.Option("--csv", help="Rows.")]
HtmlFile = Annotated[Path | None, typer.Option("--html", help="The report as one page that needs nothing else.")]
MarkdownFile = Annotated[Path | None, typer.Option("--markdown", help="The report's tables as Markdown.")]
PlotFile = Annotated[Path | None, typer.Option("--plot", help="RD curves as PNG.")]
Size = Annotated[str | None, typer.Option(help="Size of .yuv files, WIDTHxHEIGHT.")]
TrustOptions = Annotated[bool, typer.Option("--trust-options", help="Keep --qp and --position where the stream says something else.")]
PixelFormat = Annotated[str | None, typer.Option("--format", help="Format of .yuv files: yuv420p, yuv420p10le, gray, ...")]

Force = Annotated[bool, typer.Option("--force", help="Replace an older file of that name.")]


def given(context: typer.Context, names: Iterable[str]) -> list[str]:
    """Those of the parameters that the user gave on the command line, in the order of ``names``."""
    sources = {name: context.get_parameter_source(name) for name in names}
    return [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]


def takes_folders(anchors: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator for commands: their parameter ``folders``, those of the codecs that were given, becomes an option for each of them.

    anchors: also for the folders that only anchors have.
    """
    wanted = [pair for codec in codecs.every() for pair in list(codec.settings.items())[: None if anchors else 1]]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def run(**arguments: Any) -> None:
            folders = {name: path for name, _ in wanted if (path := arguments.pop(name)) is not None}
            command(folders=folders, **arguments)

        signature = inspect.signature(command)
        parameters = []
        for parameter in signature.parameters.values():
            if parameter.name == "folders":
                parameters += [_folder(name, text) for name, text in wanted]
            else:
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        run.__doc__, run.__name__ = command.__doc__, command.__name__
        return run

    return decorate


def check_folders(codec: str, folders: Folders, used: Iterable[str] = ()) -> None:
    """Raise VrcnnError for a folder that is given, but not read with this codec. used: those that are read with every codec."""
    own = codecs.find(codec).settings
    for name in folders:
        if name not in own and name not in used:
            owner = next(each.name for each in codecs.every() if name in each.settings)
            raise VrcnnError(f"--{name.replace('_', '-')} is for codec {owner}, not {codec}")


def _folder(name: str, text: str) -> inspect.Parameter:
    annotation = Annotated[Path | None, typer.Option("--" + name.replace("_", "-"), help=text)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def parse_numbers(text: str) -> tuple[int, ...]:
    """'22,27' -> (22, 27)."""
    try:
        if max(map(len, text.split(","))) > 9:
            raise ValueError
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise VrcnnError(f"{text!r:.60} is not a list of whole numbers such as 22,27,32,37") from None


def parse_qp(text: str | None) -> int | None:
    """'32' -> 32; None for auto and for nothing."""
    if text in (None, "auto"):
        return None
    if not re.fullmatch("-?[0-9]{1,2}", text or "") or not -12 <= int(text or "") <= 51:
        raise VrcnnError(f"{text!r} is neither auto nor a QP from -12 to 51")
    return int(text or "")


def parse_frames(text: str) -> int | None:
    """A number, or None for auto."""
    if text == "auto":
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < len(str(MOST_FRAMES)) and int(text) > 0):
        raise VrcnnError(f"{text!r:.60} is neither auto nor a number of pictures under {MOST_FRAMES}")
    return int(text)


def parse_sequences(
    words: list[str], search_path: str | None, size: str | None = None, pixel_format: str | None = None
) -> tuple[Sequence, ...]:
    """The sequences that the options name."""
    return tuple(sequence for word in words for sequence in resolve(word, search_path, size=parse_size(size), pixel_format=pixel_format))


def check_position(position: str) -> None:
    """Raises VrcnnError for a position that the filter cannot have."""
    if position not in POSITIONS:
        raise VrcnnError(f"unknown position {position!r}; there are {', '.join(POSITIONS)}")
