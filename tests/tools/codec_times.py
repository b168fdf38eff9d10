"""What the filter costs inside x265 and libde265, beside the anchor's and VRCNN's: python -m tests.tools.codec_times CLIP ...

Processor time of programs in user mode, one thread, all-intra at a fixed QP, by turns: anchor (deblocking and SAO), VRCNN (`vrcnn_intra`,
luma), fast joint networks (`joint_intra`, luma and chroma). Medians; the decoder's filter is what its time is above the anchor's. Prints a
table in Markdown, and writes all samples with provenance as JSON.
"""

import argparse
import resource
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from codec_bridge.bitstream import slices
from codec_bridge.bitstream.sideinfo import side_information
from codec_bridge.codecs.x265 import run as x265
from codec_bridge.provenance import provenance
from codec_bridge.report.document import write_json
from codec_bridge.video.files import write_yuv
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import Picture
from vrcnn_int.errors import VrcnnError

SETS = {"anchor": None, "VRCNN": "vrcnn_intra", "joint fast": "joint_intra"}


@dataclass
class Times:
    """Seconds of user time for all pictures, run by run, by what filters. passes: `passes` of the streams."""

    encoder: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in SETS})
    decoder: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in SETS})

    passes: dict[str, float] = field(default_factory=dict)

    def filter_ratio(self) -> float:
        """How many times as fast as VRCNN the decoder's fast joint filter is."""
        anchor, luma, joint = (statistics.median(self.decoder[name]) for name in SETS)
        return (luma - anchor) / (joint - anchor)


def passes(stream: bytes) -> float:
    """How many networks a sample goes through in a decoder, on average: two where luma and chroma have different ones."""
    found = []
    for picture, side in zip(slices.pictures(stream), side_information(stream), strict=True):
        if side is not None:
            size = picture[0].width, picture[0].height
            luma, chroma = (np.array([-1, *side.indices])[choices(*size)] for choices in (side.choices, side.chroma_choices))
            found.append(np.mean((luma >= 0) + 1.0 * ((chroma >= 0) & (chroma != luma))))
    return float(np.mean(found)) if found else 0.0


def user_seconds(command: Sequence[str]) -> float:
    """Run a program; its user time. Raises VrcnnError if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise VrcnnError(f"{command[0]} failed: {done.stderr.strip().splitlines()[-1:]}")
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def measured(tools: x265.Tools, pictures: Sequence[Picture], qp: int, kernel: str, repeats: int) -> Times:
    """The times of a clip of 8 bits."""
    times = Times()
    settings = x265.arguments(pictures[0], len(pictures), qp, options=("--no-wpp", "--pools", "none", "-F", "1"))
    with tempfile.TemporaryDirectory(prefix="vrcnn-times-") as name:
        source = Path(name) / "s.yuv"
        write_yuv(source, pictures)
        for _ in range(repeats):
            for what, model in SETS.items():
                stream = f"{name}/{what}.hevc"
                words = ["--vrcnn", "--vrcnn-model", model, "--vrcnn-size", "fast", "--vrcnn-kernel", kernel] if model else []
                coded = [str(tools.encoder), "--input", str(source), "-o", stream, *words, *settings]
                times.encoder[what].append(user_seconds(coded))
                decoded = [str(tools.decoder), "-q", "-t", "0", "--vrcnn-kernel", kernel, "--vrcnn-threads", "1", stream]
                times.decoder[what].append(user_seconds(decoded))
                times.passes[what] = passes(Path(stream).read_bytes())
    return times


def row(clip: str, pictures: int, kernel: str, times: Times) -> str:
    """Milliseconds a picture, and ratios to the anchor's."""
    cells = []
    for side in (times.encoder, times.decoder):
        anchor = statistics.median(side["anchor"])
        for what in SETS:
            median = statistics.median(side[what])
            ratio = "" if what == "anchor" else f" ({median / anchor:.2f})"
            cells.append(f"{1000 * median / pictures:.3g}{ratio}")
    networks = f"{times.passes['VRCNN']:.2f}, {times.passes['joint fast']:.2f}"
    return f"| {clip}, {pictures} | {kernel} | {' | '.join(cells)} | {networks} | {times.filter_ratio():.2f} |"


HEAD = (
    "| clip, pictures | kernel | encoder: anchor | VRCNN | joint fast | decoder: anchor | VRCNN | joint fast | passes | filter |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.codec_times", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP")
    parser.add_argument("--codecs", type=Path, metavar="FOLDER", help="of x265 and dec265 with the filter inside; default: as for bdrate")
    parser.add_argument("--pictures", type=int, default=2, metavar="N", help="default 2; below 500 000 samples four times as many")
    parser.add_argument("--qp", type=int, default=32)
    parser.add_argument("--kernels", default="auto", help="separated by commas, default auto")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="default 3")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="all samples, with provenance")
    given = parser.parse_args()
    tools = x265.find_tools(given.codecs)
    rows = []
    print(HEAD, flush=True)
    for clip in given.clips:
        with open_video(clip) as video:
            wanted = given.pictures * (4 if video.width * video.height < 500_000 else 1)
            pictures = list(islice(video, wanted))
        for kernel in given.kernels.split(","):
            times = measured(tools, pictures, given.qp, kernel, given.repeats)
            print(row(clip.stem, len(pictures), kernel, times), flush=True)
            rows.append({"clip": clip.name, "pictures": len(pictures), "kernel": kernel, **asdict(times)})
    found = provenance(encoder=x265.version(tools.encoder), qp=given.qp, repeats=given.repeats)
    write_json(given.json, {"provenance": found, "rows": rows})


if __name__ == "__main__":
    main()
