"""codec-bridge hm, x265, libde265: the filter inside a codec's source tree."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from codec_bridge.bitstream.announcement import Announcement
from codec_bridge.bitstream.sideinfo import Sideinfo
from codec_bridge.codecs import insertion
from codec_bridge.evaluation import given
from codec_bridge.video.in_loop import TAKEN_OUT
from vrcnn_int.io.console import command_line, console
from vrcnn_int.text import counted


def commands(codec: insertion.Codec) -> typer.Typer:
    """Commands install, status and uninstall for a codec's source tree, and inspect for its streams."""
    source_option = typer.Option(codec.option, help=f"Folder of the {codec.name} {codec.tree}.")

    def install(
        source: Annotated[Path, source_option],
        vrcnn: Annotated[Path | None, typer.Option(help="Where libvrcnn is installed (its PREFIX); default: pkg-config knows.")] = None,
        force: Annotated[bool, typer.Option("--force", help="Also for versions that were never tested.")] = False,
    ) -> None:
        """Put the filter in; build the codec afterwards as its manual says. Nothing changes if a place is not recognised."""
        insertion.version(codec, source)  # a wrong folder is said before a missing library
        changed = insertion.install(codec, source, insertion.find_library(vrcnn), force)
        for path in changed:
            console.print(f"{path}", highlight=False, soft_wrap=True)
        console.print(f"{counted(len(changed), 'file')} changed; {codec.following}", highlight=False)
        console.print(f"note: {codec.notice}", highlight=False, soft_wrap=True)

    def status(source: Annotated[Path, source_option]) -> None:
        """Say which version it is and whether the filter is in it."""
        inside = insertion.status(codec, source)
        console.print(f"{codec.name} {inside.version}, built with {inside.build}: {inside.state}", highlight=False, soft_wrap=True)
        if inside.library:
            # The first word of what is linked: a file, or one of pkg-config's options.
            gone = not inside.library.startswith("-") and not Path(inside.library).exists()
            advice = ", which is not there: install the filter again, with --vrcnn"
            console.print(f"library: {inside.library}{advice * gone}", highlight=False, soft_wrap=True)
            console.print(f"note: {codec.notice}", highlight=False, soft_wrap=True)

    def uninstall(source: Annotated[Path, source_option]) -> None:
        """Take the filter out again: every file is as it was before."""
        changed = insertion.uninstall(codec, source)
        console.print(f"{counted(len(changed), 'file')} changed; the {codec.tree} is as it was", highlight=False)

    def inspect(stream: Annotated[Path, typer.Argument(help="HEVC stream.")]) -> None:
        """List the side information of a stream's pictures, in decoding order."""
        announcement, pictures = given.inspected(stream)
        if announcement:
            text = f"stream: {given.set_words(announcement.identity)}, for side information of version {announcement.version}"
            console.print(text, highlight=False, soft_wrap=True)
        for number, side in enumerate(pictures):
            console.print(f"picture {number}: {_told(side)}", highlight=False, soft_wrap=True)
        if announcement and not any(pictures):
            console.print(f"note: {TAKEN_OUT}", highlight=False, soft_wrap=True)
        elif others := _other_sets(announcement, pictures):
            console.print(f"note: its pictures are of another model set: {', '.join(others)}", highlight=False, soft_wrap=True)
        console.print(f"note: {codec.notice}", highlight=False, soft_wrap=True)

    help = f"The filter inside {codec.name}: put it into a {codec.tree}, or out again."
    return command_line(help, {"install": install, "status": status, "uninstall": uninstall, "inspect": inspect})


def _other_sets(announcement: Announcement | None, pictures: list[Sideinfo | None]) -> list[str]:
    """The beginnings of identities that pictures have and the SEI message does not."""
    named = {side.identity.hex() for side in pictures if side and side.identity}
    return sorted(name for name in named if announcement and not announcement.identity.startswith(name))


def _weights(side: Sideinfo) -> Iterator[str]:
    """Of each filter: those of luma, a slash, those of chroma; of planes that are filtered."""
    for pair in zip(side.luma_weights, side.chroma_weights, strict=True):
        yield "/".join(
            ",".join(map(str, weights)) if mode != "off" else "-" for weights, mode in zip(pair, (side.mode, side.chroma_mode), strict=True)
        )


def _told(side: Sideinfo | None) -> str:
    """Side information in words."""
    if side is None:
        return "none"
    words = [side.mode] if side.version == 1 else [f"luma {side.mode}", f"chroma {side.chroma_mode}"]
    if side.filters:
        words += [side.position, f"networks {','.join(map(str, side.indices))}"]
        words += [f"scale {side.scale}"] if side.version == 1 else [f"weights {' '.join(_weights(side))}"]
    for units, size in ((side.units, side.unit_size), (None if side.shares_map else side.chroma_units, side.chroma_unit_size)):
        if units is not None:
            counts = np.bincount(units.ravel(), minlength=len(side.indices) + 1)
            words.append(f"units of {size}: {counts[0]} without network, {', '.join(map(str, counts[1:]))} with each")
    words += ["chroma as luma"] if side.shares_map else []
    return ", ".join(words) + (f" (model set {side.identity.hex()})" if side.identity else "")
