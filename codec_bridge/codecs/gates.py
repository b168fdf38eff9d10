"""Gates: what encoder, stream and decoder must agree on before anything of a coded sequence counts."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from codec_bridge.bitstream.sideinfo import Sideinfo
from codec_bridge.video.picture import Picture
from vrcnn_int.errors import VrcnnError
from vrcnn_int.network import PLANES
from vrcnn_int.text import counted


class Inconsistency(VrcnnError):
    """Two implementations that must agree do not; the message says where first."""


def compare_sides(encoder_side: Picture, other_side: Picture, name: str, other: str = "decoder") -> None:
    """Raise Inconsistency, naming plane and sample, if two pictures that must be equal are not. other: the word for the second."""
    if len(encoder_side.planes) != len(other_side.planes):
        raise Inconsistency(f"{name}: {len(encoder_side.planes)} planes on the encoder's side, {len(other_side.planes)} on the {other}'s")
    for plane, left, right in zip(PLANES, encoder_side.planes, other_side.planes, strict=False):
        if left.shape != right.shape:
            raise Inconsistency(f"{name}: plane {plane} is {left.shape} on the encoder's side, {right.shape} on the {other}'s")
        unequal = np.argwhere(left != right)
        if len(unequal):
            y, x = (int(i) for i in unequal[0])
            raise Inconsistency(
                f"{name}: encoder and {other} differ in plane {plane} at sample ({x}, {y}): "
                f"{left[y, x]} and {right[y, x]}; {counted(len(unequal), 'sample')} differ{'s' * (len(unequal) == 1)}"
            )


def compare_coded(recon: Sequence[Picture], decoded: Sequence[Picture], verdicts: Sequence[tuple[int, str]]) -> int:
    """Raise Inconsistency unless every hash was OK and the decoder's output is the encoder's; returns the luma samples compared."""
    wrong = [f"POC {poc} ({verdict})" for poc, verdict in verdicts if verdict != "OK"]
    if wrong:
        raise Inconsistency(f"the decoder finds {len(wrong)} of {len(verdicts)} picture hashes missing or wrong: {', '.join(wrong[:3])}")
    if not len(recon) == len(decoded) == len(verdicts):
        raise Inconsistency(f"{counted(len(recon), 'picture')} coded, {len(decoded)} decoded, {len(verdicts)} hashes verified")
    compare_pictures(recon, decoded)
    return sum(picture.planes[0].size for picture in recon)


def compare_pictures(recon: Sequence[Picture], decoded: Sequence[Picture]) -> None:
    """Raise Inconsistency unless the decoder's output is the encoder's, picture by picture."""
    if len(recon) != len(decoded):
        raise Inconsistency(f"{counted(len(recon), 'picture')} coded, {len(decoded)} decoded")
    for number, (left, right) in enumerate(zip(recon, decoded, strict=True)):
        compare_sides(left, right, f"picture {number}")


def compare_decisions(decided: Sequence[str | None], side: Sequence[Sideinfo | None]) -> None:
    """Raise Inconsistency unless the stream says of each picture, in coding order, what its encoder printed."""
    told = [None if information is None else information.modes for information in side]
    if list(decided) != told:
        at = next((i for i, (a, b) in enumerate(zip(decided, told, strict=False)) if a != b), min(len(decided), len(told)))
        pair = [words[at] if at < len(words) else "no picture" for words in (decided, told)]
        raise Inconsistency(f"picture {at} in coding order: the encoder decided {pair[0]}, the stream says {pair[1]}")


def compare_modes(decided: Mapping[str, int], side: Sequence[Sideinfo | None]) -> None:
    """Raise Inconsistency unless the stream has as many pictures of each mode as its encoder printed."""
    told = Counter("none" if information is None else information.modes for information in side)
    if dict(told) != dict(decided):
        raise Inconsistency(f"the encoder decided {dict(decided)}, the stream says {dict(told)}")


def compare_model(side: Sequence[Sideinfo | None], identity: str) -> None:
    """Raise Inconsistency if the side information names another model set than ``identity`` (hexadecimal)."""
    named = {information.identity.hex() for information in side if information is not None and information.identity}
    others = sorted(name for name in named if not identity.startswith(name))
    if others:
        raise Inconsistency(
            f"the encoder filters with model set {', '.join(others)}, this evaluation is of {identity[:16]}: "
            "build the codec again with this libvrcnn, or give --model"
        )
