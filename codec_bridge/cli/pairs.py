"""codec-bridge pairs: pictures beside their originals, for training."""

import json
import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from codec_bridge import codecs
from codec_bridge import pairs as coded_pairs
from codec_bridge.cli.options import (
    DEFAULT_QPS,
    Configuration,
    Folders,
    Force,
    ModelFile,
    NetworkSize,
    PixelFormat,
    Position,
    Size,
    TrustOptions,
    Workers,
    check_folders,
    check_position,
    given,
    parse_qp,
    takes_folders,
)
from codec_bridge.codecs.base import ORDINARY, Codec
from codec_bridge.codecs.dump import find_decoder
from codec_bridge.evaluation.filtering import told_network, whole_pictures
from codec_bridge.evaluation.plan import parse_size
from codec_bridge.evaluation.settings import MOST_FRAMES, Settings, check_index, check_settings, check_words, load_models, open_filter
from codec_bridge.figures.rings import RINGS, ring_gains
from codec_bridge.provenance import provenance
from codec_bridge.video.catalogue import resolve
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import check_outputs, write_text
from vrcnn_int.integer import ModelSet
from vrcnn_int.io import pairs
from vrcnn_int.io.console import console, console_beside, progress_bar, show_table
from vrcnn_int.io.options import finite
from vrcnn_int.network import POSITIONS
from vrcnn_int.text import counted, named

INSIDE = sorted((codec for codec in codecs.every() if codec.inside), key=lambda codec: codec.cost)
"""Those with the filter in their loops, the quickest first."""


ForceAll = Annotated[bool, typer.Option("--force", help="Replace all such files that are there, also those that are not written again.")]
Index = Annotated[int | None, typer.Option(help="Network of the set, instead of that for the pictures' QP.", min=0)]


def network_for(context: typer.Context, meta: dict[str, Any], settings: Settings, models: ModelSet, index: int | None) -> int:
    """The number of the network that filters the pictures of a pair file. meta: its values. Raises VrcnnError."""
    check_words(settings.kind, settings.network_size)
    if index is None:
        return settings.network_in(models, int(meta["qp"]), stated=True)
    if given(context, ["network_size"]):
        raise VrcnnError("--network-size is for the network of a QP: --index names the network itself")
    check_index(models, index, settings.position)
    return index


def in_loop(
    variant: str, qps: str, *, codec: str, configuration: str, model: Path | None, position: str, network_size: str, folders: Folders
) -> tuple[Codec, Settings]:
    """A codec that has the filter in the loop of the configuration, and the settings of coding with it. Raises VrcnnError."""
    check_folders(codec, folders, ("codecs",))
    coder = codecs.find(codec)(folders)
    if not coder.inside or configuration not in coder.configurations:
        offered = "; ".join(f"{each.name}: {', '.join(each.configurations)}" for each in INSIDE)
        raise VrcnnError(f"{codec} has no filter in a loop of configuration {configuration!r:.30}; there are {offered}")
    settings = Settings(
        codec,
        parse_qps(qps),
        (variant,),
        model=model,
        position=position,
        configuration=configuration,
        folders=folders,
        network_size=network_size,
    )
    check_settings(settings)
    return coder, settings


def make_pairs(
    original: Annotated[Path, typer.Argument(help="Original video, or a folder of pictures.")],
    recon: Annotated[Path, typer.Argument(help="Its coded reconstruction: the HEVC stream, or a decoded video.")],
    out: Annotated[Path, typer.Option(help="Pair file to write (.npz).")],
    qp: Annotated[str, typer.Option(help="QP it was coded at, -12 to 51; auto: the mean of its pictures', as the stream says.")],
    position: Annotated[
        str,
        typer.Option(help=f"Where the filter stands: {' or '.join(POSITIONS)}; auto: as the stream says, or before."),
    ] = "auto",
    frames: Annotated[int | None, typer.Option(help="At most so many pictures.", min=1, max=MOST_FRAMES)] = None,
    trust_options: TrustOptions = False,
    size: Size = None,
    pixel_format: PixelFormat = None,
    force: Force = False,
) -> None:
    """Pack an original and its coded reconstruction (all in-loop filters off, for before_deblocking) into a pair file."""
    where = None if position == "auto" else position
    if where:
        check_position(where)
    check_outputs([out], [original, recon], force)
    given = parse_size(size), pixel_format, frames
    count, coded_at, stands = coded_pairs.make(original, recon, out, parse_qp(qp), where, *given, trusted=trust_options)
    console_beside(out).print(f"wrote {out}: {counted(count, 'picture')} at QP {coded_at}, {stands}", soft_wrap=True)


@takes_folders(anchors=False)
def code_pairs(
    images: Annotated[Path, typer.Argument(help="Folder of pictures (and videos).")],
    out: Annotated[Path, typer.Option(help="Folder to write pairs.qQP.npz into; what an interrupted run coded there is used.")],
    qps: Annotated[str, typer.Option("--qp", help="QPs, separated by commas.")] = DEFAULT_QPS,
    position: Position = "before_deblocking",
    codec: Annotated[str, typer.Option(help=f"Encoder: {', '.join(codecs.CODECS)}.")] = codecs.DEFAULT,
    downscale: Annotated[int, typer.Option(help="Average so many samples in each direction first.", min=1)] = 1,
    workers: Workers = None,
    folders: Folders = MappingProxyType({}),
    force: Force = False,
) -> None:
    """Code pictures all-intra and pack them as pair files, one a QP."""
    check_position(position)
    check_folders(codec, folders)
    wanted = parse_qps(qps)
    read = [images, *codecs.find(codec)(folders).files()]
    check_outputs((coded_pairs.coded_file(out, qp) for qp in wanted), read, force, make_folders=True)
    with progress_bar() as progress:
        task = progress.add_task("files", total=len(resolve(images, rate=Fraction(1))))
        files = coded_pairs.code(images, wanted, out, position, codec, downscale, workers, lambda: progress.advance(task), folders)
    for file in files:
        console.print(f"wrote {file}", soft_wrap=True)


@takes_folders(anchors=False)
def loop_pairs(
    context: typer.Context,
    clips: Annotated[Path, typer.Argument(help="A video, or a folder of videos.")],
    out: Annotated[Path, typer.Option(help="Folder to write pairs.TYPE.qBAND.npz into; what an interrupted run coded there is used.")],
    model: ModelFile = None,
    ordinary: Annotated[bool, typer.Option("--ordinary", help="Code with deblocking and SAO instead, without networks.")] = False,
    qps: Annotated[str, typer.Option("--qp", help="QPs of the streams, separated by commas.")] = DEFAULT_QPS,
    bands: Annotated[
        str, typer.Option(help="QPs that pictures are sorted by: each goes into the file of the nearest to its own.")
    ] = "22,27,32,37,42",
    position: Position = "before_deblocking",
    codec: Annotated[str, typer.Option(help=f"Encoder: {', '.join(each.name for each in INSIDE)}.")] = INSIDE[0].name,
    configuration: Configuration = "ra",
    network_size: NetworkSize = "best",
    frames: Annotated[int, typer.Option(help="At most so many pictures of a clip.", min=1, max=MOST_FRAMES)] = 16,
    workers: Workers = None,
    folders: Folders = MappingProxyType({}),
    force: ForceAll = False,
) -> None:
    """Code clips with networks in the loop, and pack what networks read there, by slice type and QP.

    Needs the programs of `make codecs` for every codec: dec265 decodes, and writes what the filter reads.
    """
    sorted_by = parse_qps(bands)
    if ordinary and (unfit := given(context, ("model", "network_size"))):
        raise VrcnnError(f"--{unfit[0].replace('_', '-')} is for networks: --ordinary codes without them")
    coder, settings = in_loop(
        "anchor" if ordinary else "map",
        qps,
        codec=codec,
        configuration=configuration,
        model=model,
        position=position,
        network_size=network_size,
        folders=folders,
    )
    decoder = find_decoder(folders)
    kinds = [coded_pairs.loop_file(out, kind, band) for kind in coded_pairs.SLICE_TYPES for band in sorted_by]
    older = check_folder_of(kinds, coded_pairs.LOOP_FILES, [clips, *coder.files(), decoder, *([model] if model else [])], force)
    filters = ORDINARY if ordinary else settings.loop("map", load_models(settings).identity)
    with progress_bar() as progress:
        task = progress.add_task("streams", total=len(resolve(clips)) * len(settings.qps))
        files = coded_pairs.loop(
            clips,
            [(qp, filters) for qp in settings.qps],
            out,
            position,
            coder,
            decoder,
            configuration,
            frames,
            sorted_by,
            workers,
            lambda: progress.advance(task),
        )
    say_files(files, older)


def check_folder_of(outputs: Iterable[Path], names: re.Pattern[str], inputs: Iterable[Path], force: bool) -> list[Path]:
    """check_outputs for files that fill a folder together; those of an earlier run that lie there under such names.

    Whoever reads all of the folder's would mix two runs: unless they may all be replaced, the first of them is refused.
    """
    outputs = list(outputs)
    older = coded_pairs.files_in(outputs[0].parent, names)
    others = [path for path in older if path not in outputs]
    if others and not force:
        raise VrcnnError(f"{others[0]} is of an earlier run, and would lie among this one's; give another folder, or --force to remove it")
    check_outputs([*outputs, *others], inputs, force, make_folders=True)
    return older


def say_files(files: list[tuple[Path, int]], older: list[Path]) -> None:
    """A line on each file that was written, and on those of an earlier run, which are removed."""
    for file, count in files:
        console.print(f"wrote {file}: {counted(count, 'picture')}", soft_wrap=True)
    for file in sorted({*older} - {file for file, _ in files}):
        file.unlink(missing_ok=True)
        console.print(f"removed {file}, of an earlier run", soft_wrap=True)


def sort_pairs(
    originals: Annotated[Path, typer.Argument(help="Folder of original videos.")],
    coded: Annotated[Path, typer.Argument(help="Folder of HEVC and H.264 videos, each named as its original and then something more.")],
    out: Annotated[Path, typer.Option(help="Folder to write pairs.qBAND.npz into.")],
    bands: Annotated[
        str, typer.Option(help="QPs that pictures are sorted by: each goes into the file of the nearest to its own.")
    ] = DEFAULT_QPS,
    frames: Annotated[int, typer.Option(help="At most so many pictures of a video.", min=1, max=MOST_FRAMES)] = 16,
    force: ForceAll = False,
) -> None:
    """Pack video that any encoder coded, picture by picture into the file of the QP that its slices say."""
    sorted_by = parse_qps(bands)
    wanted = [coded_pairs.band_file(out, band) for band in sorted_by]
    older = check_folder_of(wanted, coded_pairs.BAND_FILES, [originals, coded], force)
    with progress_bar() as progress:
        task = progress.add_task("videos", total=len(resolve(coded)))
        files = coded_pairs.by_bands(originals, coded, out, sorted_by, frames, lambda: progress.advance(task))
    say_files(files, older)


def filter_pairs_again(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="Pair file of coded pictures.")],
    out: Annotated[Path, typer.Option(help="Pair file to write (.npz), with the filtered pictures in the coded ones' place.")],
    times: Annotated[int, typer.Option(help="How often the network filters its own output.", min=1, max=16)] = 1,
    model: ModelFile = None,
    index: Index = None,
    network_size: NetworkSize = "best",
    force: Force = False,
) -> None:
    """Filter the coded pictures of a pair file with the network for their QP, again and again: what it reads where references are filtered.

    For fine-tuning networks for inter pictures without new data: train on pairs filtered 0, 1, 2, ... times together. A luma network leaves
    chroma as it was coded.
    """
    check_outputs([out], [source, *([model] if model else [])], force)
    meta = pairs.look(source)
    settings = Settings(model=model, position=str(meta["position"]), network_size=network_size)
    models = load_models(settings)
    number = network_for(context, meta, settings, models, index)
    found = pairs.read(source)
    planes = 3 if found.recon_chroma else 1
    with open_filter(settings, models) as filter_, progress_bar() as progress:
        task = progress.add_task("pictures", total=len(found.recon))

        once = whole_pictures(filter_, number)

        def filtered(planes: tuple[pairs.Plane, ...]) -> list[pairs.Plane]:
            progress.advance(task, 1 / times)
            return once(planes)

        said = told_network(filter_, number, planes) | {"source": named(source.name), "source_md5": found.md5_for("joint")}
        count = coded_pairs.again(found, filtered, times, out, said)
    left = "; chroma is as it was coded, as a luma network leaves it" if len(said["planes"]) < planes else ""
    by = f"network {number} of set {models.identity[:16]}"
    console_beside(out).print(f"wrote {out}: {counted(count, 'picture')}, filtered {counted(times, 'time')} by {by}{left}", soft_wrap=True)


def measure_rings(
    context: typer.Context,
    sources: Annotated[list[Path], typer.Argument(help="Pair files, of any QPs.", metavar="PAIRS...")],
    out: Annotated[Path | None, typer.Option(help="The table as JSON.")] = None,
    model: ModelFile = None,
    index: Index = None,
    network_size: NetworkSize = "best",
    force: Force = False,
) -> None:
    """What networks of a set gain on the pictures of pair files, plane by plane and by ring of samples from the edge.

    A gain is the mean of the pictures' gains in dB; pictures without error before or after filtering have none. (`codec-bridge passes`
    adds up squared errors of all pictures instead.) The column network has the number of the network in the set.
    """
    check_outputs([out] if out else [], [*sources, *([model] if model else [])], force)
    rows: list[dict[str, Any]] = []
    common: dict[str, Any] = {}
    models = load_models(Settings(model=model))
    # All that can be refused is refused before the first file is filtered.
    heads = [pairs.look(source) for source in sources]
    files = [Settings(model=model, position=str(meta["position"]), network_size=network_size) for meta in heads]
    numbers = [network_for(context, meta, settings, models, index) for meta, settings in zip(heads, files, strict=True)]
    with open_filter(files[0], models) as filter_, progress_bar() as progress:
        for source, settings, number in zip(sources, files, numbers, strict=True):
            found = pairs.read(source)
            once = whole_pictures(filter_, number)
            pictures = progress.track(list(found.planes()), description=f"QP {found.qp}")
            gains = ring_gains((recon, once(recon), original) for recon, original in pictures)
            facts = told_network(filter_, number, len(gains))
            of, common = facts.pop("planes"), {name: facts.pop(name) for name in ("model", "kernel")}
            for plane, (rings, whole) in zip(of, gains, strict=False):
                about = {"file": named(source.name), "md5": found.md5_for(facts["kind"]), "pictures": len(found.recon)}
                rows.append({**about, "qp": found.qp, "position": settings.position, **facts, "plane": plane, "rings": rings, "all": whole})
    titles = [f"{first}" if last == first + 1 else f"from {first}" if last is None else f"{first}-{last - 1}" for first, last in RINGS]
    table = Table(title=f"gain in dB by ring of samples from the edge, set {models.identity[:16]}", box=box.SIMPLE_HEAD)
    for title in ("pairs", "QP", "network", "plane", *titles, "all"):
        table.add_column(title, justify="left" if title in ("pairs", "plane") else "right")
    for row in rows:
        cells = ["" if gain is None else f"{gain:+.3f}" for gain in (*row["rings"], row["all"])]
        table.add_row(row["file"], str(row["qp"]), str(row["network"]), row["plane"], *cells)
    show_table(table, console_beside(out))
    if out:
        write_text(out, json.dumps({**common, "rings": RINGS, "rows": rows, "provenance": provenance()}, indent=1) + "\n")


def parse_qps(text: str) -> tuple[int, ...]:
    """QPs from 0 to 51, separated by commas. Raises VrcnnError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch("[0-9]{1,2}", part) and int(part) <= 51 for part in parts):
        raise VrcnnError(f"{text!r:.60} is not a list of QPs from 0 to 51 such as 22,27,32,37")
    return tuple(dict.fromkeys(map(int, parts)))


def pack_pairs(
    source: Annotated[Path, typer.Argument(help="Pair file.")],
    out: Annotated[Path, typer.Option(help="Packed pair file to write (.npz); training reads it like any other.")],
    megabytes: Annotated[
        float | None,
        typer.Option(help="At most so many (million bytes): pictures are drawn until it is full.", min=0, max=1e9, callback=finite),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the drawing.", min=0)] = 1,
    force: Force = False,
) -> None:
    """Compress a pair file without loss, for machines that it must be carried to."""
    limit = None if megabytes is None else round(megabytes * 1e6)
    if limit == 0:
        raise VrcnnError(f"--megabytes {megabytes:g}: nothing fits into that; leave it out for no limit")
    check_outputs([out], [source], force)
    pictures = pairs.read(source)
    count = pairs.pack(pictures, out, limit, seed)
    size = f", {out.stat().st_size / 1e6:.1f} MB" if out.is_file() else ""
    console_beside(out).print(f"wrote {out}: {count} of {counted(len(pictures.recon), 'picture')}{size}", soft_wrap=True)
