"""What the conformance suite consists of. Equal on every machine: numbers come from SHAKE-256, expected values from the oracle."""

import hashlib
import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np

from vrcnn_int.conformance import INDEX, FilterVector, JointVector, Part, RefusedVector, Suite, plane_bytes
from vrcnn_int.conformance.make_sideinfo import sideinfo_vectors
from vrcnn_int.conformance.networks import GENERAL, JOINT, at_least_shift, extreme_joint_networks, extreme_networks, general_set
from vrcnn_int.conformance.noise import noise
from vrcnn_int.conformance.pictures import CONTENTS, JOINT_CONTENTS, joint_picture, picture
from vrcnn_int.conformance.refused import refused_models
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet, filter_plane, filter_planes, joint_layer_outputs, layer_outputs
from vrcnn_int.models import builtin_path
from vrcnn_int.proofs import prove

SMALL = ((1, 1), (2, 1), (1, 2), (3, 3), (1, 70), (130, 1), (5, 7), (8, 8), (15, 17), (16, 16), (31, 33), (64, 64), (65, 63), (130, 70))
"""Widths and heights. One larger picture, the real one, is 416x240."""
JOINT_SMALL = ((2, 2), (1, 1), (4, 2), (1, 3), (7, 5), (16, 16), (17, 15), (31, 34), (66, 63), (129, 37), (2, 40), (70, 1))


class _Maker:
    """Collects vectors; writes models and pictures into a folder."""

    def __init__(self, folder: Path) -> None:
        self.suite = Suite(folder, [], [], [], [])
        for name in ("models", "pictures"):
            (folder / name).mkdir()

    def put(self, name: str, data: bytes) -> str:
        (self.suite.folder / name).write_bytes(data)
        return name

    def filter(self, part: Part, name: str, models: ModelSet, pictures: Sequence[tuple[str, int, int]]) -> None:
        """Vectors of the pictures (content, width, height): networks take turns, bit depth and output scale are drawn."""
        for network in models.networks:
            prove(network)
        model = self.put(f"models/{name}.vrcnn", models.to_bytes())
        for n, (content, width, height) in enumerate(pictures):
            index = n % len(models.networks)
            depth, scale = (int(noise(f"{name} {n} {low}..{high}", 1, low, high)[0]) for low, high in ((8, 10), (1, 10)))
            plane = picture(content, width, height, depth)
            raw = self.put(f"pictures/{content}-{width}x{height}-{depth}bit.raw", plane_bytes(plane))
            network = models.networks[index]
            hidden = [hashlib.md5(values.astype(np.uint8).tobytes()).hexdigest() for values in layer_outputs(network, plane, depth)]
            output = hashlib.md5(plane_bytes(filter_plane(network, plane, depth, scale))).hexdigest()
            title = f"{name}-{index}-{content}-{width}x{height}-{depth}bit-scale{scale}"
            self.suite.filter.append(FilterVector(title, part, model, index, raw, width, height, depth, scale, output, hidden))

    def refused(self, name: str, data: bytes, error: str) -> None:
        self.suite.refused.append(RefusedVector(f"refused-{name}", self.put(f"models/refused-{name}.vrcnn", data), error))

    def joint(
        self, name: str, models: ModelSet, pictures: Sequence[tuple[str, int, int, int]], given_depths: Sequence[list[int]] = ()
    ) -> None:
        """Vectors of the pictures (content, width, height, chroma_format): networks take turns, weights are drawn, and bit depths, too,
        unless they are given, to be taken in turn."""
        for network in models.networks:
            prove(network)
        name = f"joint-{name}"
        model = self.put(f"models/{name}.vrcnn", models.to_bytes())
        for n, (content, width, height, chroma_format) in enumerate(pictures):
            index = n % len(models.networks)
            network = models.networks[index]
            least = 1 if network.heads == 1 else -5
            luma, chroma = (noise(f"{name} {n} {plane} weights", network.heads, least, 10).tolist() for plane in ("luma", "chroma"))
            drawn = noise(f"{content} {width}x{height} {chroma_format} depths", 2, 8, 10).tolist()
            depths = given_depths[n % len(given_depths)] if given_depths else drawn
            planes = joint_picture(content, width, height, depths, chroma_format)
            what = f"{content}-{width}x{height}-{chroma_format}-{depths[0]}-{depths[1]}bit"
            raw = self.put(f"pictures/{what}.raw", b"".join(map(plane_bytes, planes)))
            given = planes, (depths[0], depths[1]), str(chroma_format)
            hidden = [hashlib.md5(values.astype(np.uint8).tobytes()).hexdigest() for values in joint_layer_outputs(network, *given)]
            output = hashlib.md5(b"".join(map(plane_bytes, filter_planes(network, *given, luma, chroma)))).hexdigest()
            vector = JointVector(
                f"{name}-{index}-{what}-{n}", model, index, raw, width, height, chroma_format, depths, luma, chroma, output, hidden
            )
            self.suite.joint.append(vector)


def _filter_vectors(maker: _Maker) -> None:
    sizes = [(CONTENTS[(n + turn) % len(CONTENTS)], *size) for turn in range(4) for n, size in enumerate(SMALL)]
    long = [("noise", 1300, 5), ("extremes", 5, 1300)]  # implementations may work piece by piece
    maker.filter("shipped", "shipped", ModelSet.load(builtin_path()), [("real", 416, 240), *sizes, *long])
    middle = ((130, 70), (1, 1), (17, 40), (64, 5), (33, 33))
    for name in GENERAL:
        models = general_set(name)
        few = middle[1:] if name in ("widest", "odd-channels") else middle
        turns = [(CONTENTS[n % len(CONTENTS)], *few[n % len(few)]) for n in range(2 * len(few))]
        maker.filter("general", name, models, turns + long * (name == "branches"))
    networks = list(extreme_networks())
    pictures = (("white", 24, 20), ("black", 9, 7), ("extremes", 40, 13), ("checkerboard", 16, 9), ("noise", 11, 18))
    small = ModelSet(tuple(network for network in networks if network.architecture.layers[0][0].channels == 16))
    maker.filter("extreme", "extreme", small, [picture for picture in pictures for _ in small.networks])
    large = ModelSet(tuple(network for network in networks if network.architecture.layers[0][0].channels == 256))
    maker.filter("extreme", "largest-sums", large, [picture for picture in pictures[1:] for _ in large.networks])


def _joint_vectors(maker: _Maker) -> None:
    sizes = [(JOINT_CONTENTS[n % len(JOINT_CONTENTS)], *size, 420) for n, size in enumerate(JOINT_SMALL)]
    sets = {name: general_set(f"joint-{name}") for name in JOINT}
    shapes = [network for name in ("fast", "heads") for network in sets[name].networks]
    maker.joint("fast", sets.pop("fast"), [("colour", 130, 70, 420), *sizes, ("noise", 1402, 2, 420), ("extremes", 2, 1402, 420)])
    formats = [(content, 18, 11, chroma_format) for content, chroma_format in product(("noise", "extremes"), (400, 422, 444))]
    maker.joint("best", sets.pop("best"), [("colour", 130, 70, 420), *sizes, *formats])
    small = [
        (content, *size, 420) for content, size in (("noise", (40, 17)), ("colour", (2, 2)), ("extremes", (23, 30)), ("ramp", (9, 64)))
    ]
    for name, models in sets.items():
        maker.joint(name, models, [*small, *(formats if name == "heads" else [])])
    pictures = (("white", 12, 10, 420), ("black", 9, 7, 420), ("extremes", 22, 13, 420))
    extreme = ModelSet(tuple(extreme_joint_networks()))
    maker.joint("extreme", extreme, [picture for picture in pictures for _ in extreme.networks])
    deep = ModelSet((*shapes, *(at_least_shift(network, 4) for network in extreme.networks)))
    turns = [picture for picture in (("extremes", 22, 13, 420), ("noise", 9, 7, 420)) for _ in deep.networks]
    more = [("white", 12, 10, 420), ("black", 9, 7, 420), ("ramp", 34, 31, 420), ("extremes", 18, 11, 400)]
    maker.joint("12-bit", deep, [*turns, *more], [[12, 12], [12, 12], [12, 10]])


def make(folder: Path) -> Suite:
    """Write the suite into a new folder, whole or not at all. Raises VrcnnError if it cannot be written or is there already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise VrcnnError(f"{folder} exists; name a folder that does not, or an empty one")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
            target = Path(temporary) / "suite"
            target.mkdir()
            maker = _Maker(target)
            _filter_vectors(maker)
            _joint_vectors(maker)
            for vector in refused_models():
                maker.refused(*vector)
            maker.suite.sideinfo.extend(sideinfo_vectors())
            (target / INDEX).write_text(maker.suite.index(), encoding="ascii", newline="\n")
            target.replace(folder)
    except OSError as error:
        raise VrcnnError(f"cannot write {folder}: {error.strerror or error}") from None
    return Suite.load(folder)
