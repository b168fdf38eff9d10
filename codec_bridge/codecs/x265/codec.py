"""x265 and libde265 with the filter inside, as a codec."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from codec_bridge.bitstream.sideinfo import side_information, side_information_bits
from codec_bridge.codecs import gates
from codec_bridge.codecs.base import Codec, Coded, Decoded, Loop, Network, Request
from codec_bridge.codecs.programs import Programs, describe
from codec_bridge.codecs.pyav import lagrangian
from codec_bridge.codecs.x265 import run
from codec_bridge.video.picture import Picture
from vrcnn_int.network import POSITIONS
from vrcnn_int.text import counted


class X265Loop(Codec):
    """The programs that `make codecs` builds."""

    name = "x265-loop"
    origin = "make codecs"
    inside = True
    variants = ("anchor", "none", "picture", "map", "after")
    default_variants = ("anchor", "map")
    configurations = tuple(run.CONFIGURATIONS)
    settings = {  # noqa: RUF012 (nobody changes it)
        "codecs": "x265-loop's programs; default: VRCNN_CODECS, or build/codecs/bin of the project's checkout."
    }
    joint = True
    sao_steers = True  # through the state of the arithmetic coder

    @property
    def tools(self) -> run.Tools:
        """The programs. Raises CodecError for what is not there."""
        return run.find_tools(self.folders.get("codecs"))

    def check(self, configuration: str) -> None:
        """The programs."""
        run.find_tools(self.folders.get("codecs"))

    def files(self) -> list[Path]:
        """The programs."""
        return [self.tools.encoder, self.tools.encoder_10bit, self.tools.decoder]

    def programs(self, request: Request) -> Programs:
        """The encoder for the bit depth, and the decoder."""
        tools = self.tools
        return describe(run.version, {"encoder": tools.encoder_for(request.like.bit_depth), "decoder": tools.decoder})

    def loop_options(self, loop: Loop) -> tuple[str, ...]:
        """x265's own options."""
        ordinary = (*(() if loop.deblocking else ("--no-deblock",)), *(() if loop.sao else ("--no-sao",)))
        if not loop.network:
            return ordinary
        position = str(POSITIONS.index(loop.network.position))
        units = () if loop.network.units else ("--no-vrcnn-map",)
        size = () if loop.network.size == "best" else ("--vrcnn-size", loop.network.size)
        return ("--vrcnn", "--vrcnn-position", position, *decoder_options(loop.network), *units, *size, *ordinary)

    def arguments(self, request: Request) -> list[str]:
        """The encoder's."""
        options = self.loop_options(request.loop)
        return run.arguments(request.like, request.pictures, request.qp, request.configuration, request.preset, request.rate, options)

    def code(self, request: Request, pictures: Iterable[Picture]) -> Coded:
        """Code with the program."""
        options = self.loop_options(request.loop)
        configuration, preset, rate = request.configuration, request.preset, request.rate
        return run.encode(self.tools, pictures, request.qp, configuration=configuration, preset=preset, rate=rate, options=options)

    def decode(self, request: Request, coded: Coded) -> Decoded:
        """Decode with libde265; every picture is the encoder's, every hash OK, and there are as many of each decision as printed."""
        network = request.loop.network
        decoded = run.decode(self.tools, coded.data, coded.recon[0], decoder_options(network) if network else ())
        gates.compare_coded(coded.recon, decoded.pictures, decoded.verdicts)
        side = side_information(coded.data)
        if network:
            # Pictures are coded at the same time, and told in the order in which they are done.
            gates.compare_modes(Counter(map(str, coded.decided)), side)
            gates.compare_model(side, network.identity)
        return replace(decoded, side=side, side_bits=side_information_bits(coded.data))

    def lagrangian(self, qp: int, bit_depth: int) -> float:
        """x265's, for fixed QPs."""
        return lagrangian(qp, bit_depth)

    def check_stream(self, data: bytes, network: Network) -> tuple[int, int]:
        """Decode with libde265; raises gates.Inconsistency unless it filters as many pictures as the stream says."""
        side = side_information(data)
        decoded = run.decode(self.tools, data, options=decoder_options(network))
        filtered = sum(information is not None and information.filters for information in side)
        if decoded.filtered != filtered:
            raise gates.Inconsistency(
                f"by the stream, {counted(filtered, 'picture')} should be filtered; the decoder filtered {decoded.filtered}"
            )
        return len(decoded.verdicts), filtered


CODEC = X265Loop


def decoder_options(network: Network) -> tuple[str, ...]:
    """What the decoder is told."""
    return ("--vrcnn-kernel", network.kernel, *(["--vrcnn-model", str(network.model)] if network.model else []))
