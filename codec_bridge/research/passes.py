"""What networks in a loop gain by temporal layer, and by how often the samples that a block was predicted from were filtered before."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from math import log10
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec_bridge.codecs.base import Codec, Loop, Request
from codec_bridge.codecs.dump import Dumped, check_motion, dump
from codec_bridge.codecs.programs import Programs, at_once, file_hash, go_on
from codec_bridge.evaluation import store
from codec_bridge.evaluation.sources import Source
from codec_bridge.pairs import within
from codec_bridge.provenance import provenance
from codec_bridge.video.catalogue import Sequence as VideoSequence
from codec_bridge.video.catalogue import resolve
from codec_bridge.video.picture import Picture, samples_md5
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import own_path
from vrcnn_int.machine import cores
from vrcnn_int.network import PLANES
from vrcnn_int.text import counted, named

BINS = ("intra, I picture", "intra, P or B picture", *(f"inter, {word}" for word in ("0", "0-1", "1-2", "2-3", "3-4", "over 4")))
"""Of samples; inter: by passes of the references, the upper limit within."""
BY = ("layer", "passes")
SCHEMA = 1
"""Of what is kept of a stream."""
COUNTS = ("samples", "filtered", "sse_before_filtered", "sse_after_filtered", "sse_before", "sse_after")
"""Of a row: samples, those of them that a network filtered, and squared errors, in steps of 8 bits, of what networks read and of what is
put out: over the filtered samples, and over all."""
ALL = "all"

Passes = NDArray[np.float32]
"""[height, width] of luma: how often a network filtered each sample, counted along its references; of two references the mean."""

Sums = dict[tuple[str, str, str], NDArray[np.float64]]
"""COUNTS by one of BY, a label, and one of PLANES."""


def referred(motion: NDArray[np.int32], held: Mapping[int, Passes], shape: tuple[int, int]) -> Passes:
    """Passes of what a picture's samples were predicted from, 0 for intra samples.

    motion: as in Dumped. held: of other pictures of its size, by POC minus the picture's; of those that are not there, 0. A vector is
    rounded to whole samples, and weights of weighted prediction are taken to be equal.
    """
    height, width = shape
    rows, columns = np.ogrid[:height, :width]
    total, count = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for each in (0, 1):
        difference, x, y = (motion[:, :, each, i].repeat(4, 0).repeat(4, 1)[:height, :width] for i in range(3))
        there = (rows + (y + 2 >> 2)).clip(0, height - 1), (columns + (x + 2 >> 2)).clip(0, width - 1)
        count += difference != 0
        for reference, passes in held.items():
            here = difference == reference
            if reference and here.any():
                total += np.where(here, passes[there], np.float32(0))
    return (total / np.maximum(count, 1)).astype(np.float32)


def of_references(pictures: Sequence[Dumped], filtered: Sequence[NDArray[np.bool_]]) -> Iterator[Passes]:
    """Passes of what each of a stream's pictures, in decoding order, was predicted from. filtered: [height, width], by a network."""
    held: dict[tuple[int, int], Passes] = {}
    for each, here in zip(pictures, filtered, strict=True):
        assert each.motion is not None
        sequence, poc = each.order
        near = {other - poc: passes for (number, other), passes in held.items() if number == sequence}
        found = referred(each.motion, near, here.shape)
        held[each.order] = found + here
        yield found


def binned(motion: NDArray[np.int32], passes: Passes, slice_type: str) -> NDArray[np.uint8]:
    """The number in BINS of each luma sample. passes: of its references."""
    height, width = passes.shape
    inter = (motion[:, :, :, 0] != 0).any(2).repeat(4, 0).repeat(4, 1)[:height, :width]
    return np.where(inter, 2 + np.ceil(passes).clip(0, 5), slice_type != "I").astype(np.uint8)


def layers(pictures: Sequence[Dumped]) -> tuple[str, list[int]]:
    """Temporal layers of a stream's pictures in decoding order, and where they come from.

    nuh_temporal_id, if any is above 0. Else references: 0 for a picture that refers to no later one; any other stands one above the higher
    of the nearest pictures before and after it that it refers to.
    """
    if any(each.temporal_id for each in pictures):
        return "nuh_temporal_id", [each.temporal_id for each in pictures]
    found: dict[tuple[int, int], int] = {}
    for each in pictures:
        assert each.motion is not None
        sequence, poc = each.order
        used = np.unique(each.motion[:, :, :, 0])
        before, after = used[used < 0], used[used > 0]
        nearest = [*before[-1:], *after[:1]] if len(after) else []
        found[each.order] = max((1 + found.get((sequence, poc + int(other)), 0) for other in nearest), default=0)
    return "references", list(found.values())


def add(sums: Sums, by: str, plane: str, names: Sequence[str], label: NDArray[Any], planes: Sequence[NDArray[Any]], bit_depth: int) -> None:
    """Add a plane's samples. label: of each sample, which of ``names``. planes: original, read, put out, and whether it was filtered."""
    original, read, out, filtered = (plane.ravel().astype(np.float64) for plane in planes)
    errors = [((plane - original) / 2 ** (bit_depth - 8)) ** 2 for plane in (read, out)]
    weights = [np.ones_like(original), filtered, *(error * filtered for error in errors), *errors]
    totals = np.stack([np.bincount(label.ravel(), weight, len(names)) for weight in weights], axis=1)
    for name, total in zip(names, totals, strict=True):
        if total[0]:
            sums[by, name, plane] = sums.get((by, name, plane), np.zeros(len(COUNTS))) + total


@dataclass(frozen=True)
class Measured:
    """Of a stream. layers: where they come from, see ``layers``. kernel: that the encoder filtered on, None where it filtered nothing."""

    layers: str
    kernel: str | None
    sums: Sums


def of_clip(originals: Sequence[Picture], coder: Codec, decoder: Path, request: Request) -> Measured:
    """Code a clip, decode it, every hash verified, and sum."""
    network = request.loop.network
    assert network
    coded = coder.code(request, originals)
    side = coder.decode(request, coded).side
    options = ("--vrcnn-model", str(network.model)) if network.model else ()
    dumped = dump(decoder, coded.data, network.position, options, motion=True)
    if not len(originals) == len(dumped) == len(side) == len(coded.recon):
        raise VrcnnError(f"{counted(len(originals), 'picture')} coded, {len(dumped)} decoded")
    shown = {each.order: number for number, each in enumerate(dumped)}
    dumped.sort(key=lambda each: each.number)
    origin, in_layers = layers(dumped)
    sums: Sums = {}
    for is_chroma in (False, True)[: 1 + (len(originals[0].planes) > 1)]:
        filtered = []
        for each, said in zip(dumped, side, strict=True):
            size = each.picture.planes[0].shape[::-1]
            choices = (said.chroma_choices(*size) if is_chroma else said.choices(*size)) if said else np.zeros(size[::-1])
            filtered.append(choices > 0)
        for each, layer, acted, passes in zip(dumped, in_layers, filtered, of_references(dumped, filtered), strict=True):
            go_on()
            assert each.motion is not None
            number = shown[each.order]
            original, out = originals[number], coded.recon[number]
            read = within(each.picture, original)
            by_passes = binned(each.motion, passes, each.slice_type)
            for i, name in enumerate(PLANES):
                if (i > 0) == is_chroma and i < len(original.planes):
                    # A chroma sample is where the first of its luma samples is.
                    step = tuple(-(-a // b) for a, b in zip(original.planes[0].shape, original.planes[i].shape, strict=True))
                    height, width = original.planes[i].shape
                    label, here = (array[:: step[0], :: step[1]][:height, :width] for array in (by_passes, acted))
                    planes = original.planes[i], read.planes[i], out.planes[i], here
                    add(sums, "passes", name, BINS, label, planes, original.bit_depth)
                    add(sums, "layer", name, [f"{layer} {each.slice_type}"], np.zeros_like(label), planes, original.bit_depth)
    return Measured(origin, coded.kernel, sums)


def inputs_of(source: Source, coder: Codec, decoder: Path, request: Request) -> dict[str, Any]:
    """All that determines what is measured of a stream, as JSON; its hash names the file that keeps it."""
    network = request.loop.network
    assert network
    words = coder.arguments(request)
    return {
        "schema": SCHEMA,
        "clip": {key: value for key, value in source.facts.items() if key not in ("name", "class")},
        "chroma_format": source.sequence.chroma_format,
        "codec": coder.name,
        "configuration": request.configuration,
        "qp": request.qp,
        "programs": asdict(coder.programs(request)),
        "dec265": file_hash(decoder),
        "command": [word.replace(str(network.model), network.identity) if network.model else word for word in words],
        **{key: getattr(network, key) for key in ("position", "kernel", "identity", "size")},
    }


def content_of(found: Measured) -> dict[str, Any]:
    """What is kept of a stream, as JSON."""
    return {"layers": found.layers, "kernel": found.kernel, "sums": [[*of, total.tolist()] for of, total in found.sums.items()]}


def measured_in(content: Mapping[str, Any]) -> Measured:
    """The inverse."""
    sums = {(by, label, plane): np.array(total, np.float64) for by, label, plane, total in content["sums"]}
    return Measured(content["layers"], content["kernel"], sums)


def gain(before: float, after: float) -> float | None:
    """In dB; None where nothing was filtered or nothing is wrong."""
    return 10 * log10(before / after) if before > 0 and after > 0 else None


def rows(sums: Sums) -> list[dict[str, Any]]:
    """COUNTS of every label, its shares of the plane's samples, of its own that were filtered, and gains in dB, in order."""
    found = []
    for by, name, plane in sorted(sums, key=lambda key: (BY.index(key[0]), PLANES.index(key[2]), place(key[1]))):
        counts = dict(zip(COUNTS, map(float, sums[by, name, plane]), strict=True))
        samples = sum(total[0] for (other, _, same), total in sums.items() if (other, same) == (by, plane))
        more = {
            "share": counts["samples"] / samples,
            "filtered_share": counts["filtered"] / counts["samples"],
            "gain_filtered": gain(counts["sse_before_filtered"], counts["sse_after_filtered"]),
            "gain": gain(counts["sse_before"], counts["sse_after"]),
        }
        found.append({"by": by, "label": name, "plane": plane, **counts, **more})
    return found


def place(label: str) -> tuple[int, int]:
    """In a table: BINS as they stand; layers by number, then I, P, B."""
    return (BINS.index(label), 0) if label in BINS else (int(label[:-2]), "IPB".index(label[-1]))


def measure(
    clips: Path,
    requests: Sequence[tuple[int, Loop]],
    coder: Codec,
    decoder: Path,
    configuration: str,
    frames: int,
    kept: Path,
    workers: int | None = None,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Code clips with networks in the loop; the rows of each QP, and of all of them as ALL, as a document.

    clips: a video, or a folder of videos. requests: QPs of streams, and what stands in their loops, networks always. decoder: dec265 with
    the filter. frames: at most so many pictures of a clip. kept: folder for what was measured of each stream, so a run that was
    interrupted, or was given more clips or QPs, codes what is missing. ``progress()`` is called after each stream. Raises VrcnnError for
    clips that cannot be coded.
    """
    coder.check(configuration)
    check_motion(decoder)
    sequences = resolve(clips)

    def code(job: tuple[VideoSequence, tuple[int, Loop]]) -> tuple[Source, Programs, Measured]:
        sequence, (qp, filters) = job
        with sequence.open(frames=frames) as video:
            originals = [picture.cropped() for picture in video]
        source = Source(sequence, len(originals), samples_md5(originals), None)
        request = Request(qp, originals[0], len(originals), configuration, loop=filters)
        inputs = inputs_of(source, coder, decoder, request)
        key = store.digest(inputs)
        path = own_path(kept / f"{key}.json")
        found = store.kept(path, key, measured_in, "remove it, and its stream is coded again")
        if found is None:
            found = of_clip(originals, coder, decoder, request)
            store.keep(path, {"inputs": inputs, **content_of(found)})
        progress()
        return source, coder.programs(request), found

    jobs = list(product(sequences, requests))
    results = at_once(code, jobs, workers or cores())
    by_qp: dict[str, Sums] = {}
    for (_, (qp, _)), (_, _, found) in zip(jobs, results, strict=True):
        for total in (by_qp.setdefault(str(qp), {}), by_qp.setdefault(ALL, {})):
            for key, counts in found.sums.items():
                total[key] = total.get(key, np.zeros(len(COUNTS))) + counts
    network = requests[0][1].network
    assert network
    files = {name: value for _, programs, _ in results for name, value in programs.files.items()} | {"dec265": file_hash(decoder)}
    origin = provenance(
        model=network.identity,
        kernels=sorted({found.kernel for _, _, found in results if found.kernel}),
        programs={coder.name: {"encoder": ", ".join(sorted({programs.encoder for _, programs, _ in results})), "files": files}},
    )
    return {
        "clips": list({source.sequence: source.facts | {"name": named(source.sequence.name)} for source, _, _ in results}.values()),
        "frames": frames,
        "codec": coder.name,
        "configuration": configuration,
        "model": network.identity,
        "position": network.position,
        "kernel": network.kernel,
        "network_size": network.size,
        "layers": sorted({found.layers for _, _, found in results}),
        "rows": {qp: rows(by_qp[qp]) for qp in [*(str(qp) for qp, _ in requests), ALL]},
        "provenance": origin,
    }
