"""codec-bridge announce: a stream that names the filter of its decoded pictures."""

from pathlib import Path
from typing import Annotated

import typer

from codec_bridge.bitstream.announcing import announce, refuse_unfit
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.nal import scan
from codec_bridge.bitstream.pictures import Unit, read_units
from codec_bridge.bitstream.post_filter import PostFilter
from codec_bridge.cli.evaluation import say_far
from codec_bridge.cli.options import Force, Kind, NetworkSize, given, model_option, parse_qp
from codec_bridge.evaluation.given import coded, read
from codec_bridge.evaluation.settings import Settings, far_qps, load_models
from codec_bridge.video.coding import AFTER
from codec_bridge.video.open import RAW_STREAMS
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import check_outputs, is_stream, write_bytes
from vrcnn_int.integer import IntegerNetwork, ModelSet
from vrcnn_int.io.console import console_beside
from vrcnn_int.models import DEFAULT_AT, builtin_path, read_files
from vrcnn_int.network import BIT_DEPTHS, DEEP
from vrcnn_int.text import counted


def announce_filter(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Ordinary HEVC stream (Annex B, no container), of any encoder.")],
    out: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The same stream with the SEI messages.")],
    model: Annotated[Path | None, model_option(DEFAULT_AT[AFTER])] = None,
    qp: Annotated[
        str | None, typer.Option(help="auto, the default: decoders take each picture's network by its QP; or a QP: one network for all.")
    ] = None,
    index: Annotated[int | None, typer.Option(help="Network of the set for all pictures, instead of --qp.", min=0, max=31)] = None,
    kind: Kind = None,
    network_size: NetworkSize = "best",
    trust_options: Annotated[
        bool, typer.Option("--trust-options", help="Keep --qp or --index where the stream says something else.")
    ] = False,
    force: Force = False,
) -> None:
    """Name a filter for the decoded pictures of an ordinary stream, in SEI messages (NNPFC, NNPFA): a post-filter, outside the loop.

    The stream stays ordinary: every decoder has the same pictures of it as before. codec-bridge filter, and dec265 of `make codecs`,
    filter them as the messages say.
    """
    if index is not None and (unfit := given(context, ("qp", "kind", "network_size"))):
        raise VrcnnError(f"--{unfit[0].replace('_', '-')} and --index: give one of them, to choose the network")
    if out.suffix.lower() not in RAW_STREAMS[:4] and not is_stream(out):
        raise VrcnnError(f"the output is a stream without a container, {', '.join(RAW_STREAMS[:3])} or {RAW_STREAMS[3]}, not {out.name!r}")
    check_outputs([out], [source, *read_files(model)], force)
    wanted_qp = parse_qp(qp)
    models = load_models(Settings(model=model or builtin_path(DEFAULT_AT[AFTER])))
    stream = read(source)
    said = coded(source, stream, None)
    units = list(read_units(scan(stream)))
    try:
        refuse_unfit(units)  # before options that follow from what it says
    except CodecError as error:
        raise CodecError(f"{source}: {error}") from None
    settings = Settings(position=said.position, kind=kind, network_size=network_size)
    settings.refuse()
    if index is None and wanted_qp is None and said.position != AFTER:
        raise VrcnnError(f"{source} has {said.filters()} in its loop, and networks by QP are those {AFTER}: give --qp 32, or --index")
    if wanted_qp is not None and not trust_options:
        said.check_qp([wanted_qp])
    for_qp = round(said.qp) if wanted_qp is None else wanted_qp
    network = settings.network_in(models, for_qp, stated=True) if index is None else index
    if network >= len(models.networks):
        raise VrcnnError(f"the model set has no network {network}; it has 0 to {len(models.networks) - 1}")
    chosen = models.networks[network]
    if not trust_options:
        said.check_position(chosen.position, "the --index of another network")
    by_qp = index is None and wanted_qp is None
    wanted = named(models, None if by_qp else network, chosen)
    try:
        refuse_depths(units, models, wanted)
        written, count = announce(stream, wanted, chosen.kind == "joint")
    except CodecError as error:
        raise CodecError(f"{source}: {error}") from None
    write_bytes(out, written)
    pictures = len(said.codings) + said.skipped
    bits = 8 * (len(written) - len(stream))
    console_beside(out).print(
        f"wrote {out}: {counted(pictures, 'picture')}, to be filtered by {wanted}: {counted(count, 'message')}, {bits} bits, "
        f"{bits / pictures:.1f} a picture, {100 * bits / 8 / len(stream):.3f} % of the stream",
        soft_wrap=True,
        highlight=False,
    )
    if by_qp:
        own = {round(coding.qp) for coding in said.codings}
        say_far(far_qps((own_qp, models.networks[settings.network_in(models, own_qp)].qp) for own_qp in own))


def named(models: ModelSet, index: int | None, like: IntegerNetwork) -> PostFilter:
    """The network of that index, or those of the kind and size of another one, by QP."""
    identity = models.identity[:16]
    return PostFilter(identity, like.kind, like.size) if index is None else PostFilter(identity, index=index)


def refuse_depths(units: list[Unit], models: ModelSet, wanted: PostFilter) -> None:
    """Raise CodecError for pictures of a bit depth that the networks do not filter."""
    named_ones = [models.networks[wanted.index]] if wanted.index is not None else [n for n in models.networks if n.kind == wanted.kind]
    for unit in units:
        depth = unit.sps.bit_depth if unit.sps else 8
        if depth not in BIT_DEPTHS or (depth == DEEP and not all(network.is_deep for network in named_ones)):
            raise CodecError(f"picture {unit.number} has luma of {depth} bits, which the filter does not take")
