"""HM, the HEVC reference software, as a codec with the filter inside."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from codec_bridge.bitstream.sideinfo import side_information, side_information_bits
from codec_bridge.codecs import gates
from codec_bridge.codecs.base import Codec, Coded, Decoded, Loop, Network, Request
from codec_bridge.codecs.hm import run
from codec_bridge.codecs.programs import Programs, describe
from codec_bridge.video.picture import Picture
from vrcnn_int.network import POSITIONS


class Hm(Codec):
    """The user's build, with the adapter in it; ``anchor_hm`` may be one without, for streams without networks."""

    name = "hm"
    origin = "your build"
    inside = True
    variants = ("anchor", "none", "integer", "float", "choice", "picture", "map")
    default_variants = ("anchor", "map")
    configurations = tuple(run.CONFIGURATIONS)
    settings = {  # noqa: RUF012 (nobody changes it)
        "hm": "HM's folder; default: environment variables HM_ROOT, HM_ENCODER, HM_DECODER.",
        "anchor_hm": "Folder of an HM without adapter for the anchor; default: the same HM, filter off.",
    }
    joint = True
    cost = 10.0

    @property
    def tools(self) -> run.Tools:
        """The programs. Raises CodecError for what is not there."""
        return run.find_tools(self.folders.get("hm"), self.folders.get("anchor_hm"))

    def check(self, configuration: str) -> None:
        """Programs and configuration file for 8 bits."""
        self.tools.configuration(configuration, 8)

    def files(self) -> list[Path]:
        """The programs, and the folder of configuration files."""
        return [self.tools.encoder, self.tools.anchor, self.tools.decoder, self.tools.configurations]

    def programs(self, request: Request) -> Programs:
        """Both encoders, the decoder and the configuration file."""
        tools = self.tools
        configuration = tools.configuration(request.configuration, request.like.bit_depth)
        paths = {"encoder": tools.encoder, "anchor": tools.anchor, "decoder": tools.decoder}
        return describe(run.version, paths, {configuration.name: configuration})

    def loop_options(self, loop: Loop) -> tuple[str, ...]:
        """HM's own options."""
        ordinary = (*(() if loop.deblocking else ("--LoopFilterDisable=1",)), *(() if loop.sao else ("--SAO=0",)))
        if not loop.network:
            return ordinary
        position = POSITIONS.index(loop.network.position)
        units = f"--VRCNNMap={int(loop.network.units)}"
        size = [] if loop.network.size == "best" else [f"--VRCNNSize={loop.network.size}"]
        return (f"--VRCNNPosition={position}", *decoder_options(loop.network), units, *size, *ordinary)

    def arguments(self, request: Request) -> list[str]:
        """Beside the configuration file."""
        network, options = request.loop.network is not None, self.loop_options(request.loop)
        return run.arguments(request.like, request.pictures, request.qp, request.rate, network, options)

    def code(self, request: Request, pictures: Iterable[Picture]) -> Coded:
        """Code with the program; the anchor's unless there are networks in the loop."""
        network, options = request.loop.network is not None, self.loop_options(request.loop)
        configuration, rate = request.configuration, request.rate
        return run.encode(self.tools, pictures, request.qp, configuration=configuration, rate=rate, network=network, options=options)

    def decode(self, request: Request, coded: Coded) -> Decoded:
        """Decode with the program; every picture is the encoder's, every hash OK, every decision as printed."""
        network = request.loop.network
        decoded = run.decode(self.tools, coded.data, coded.recon[0], decoder_options(network) if network else ())
        gates.compare_coded(coded.recon, decoded.pictures, decoded.verdicts)
        side = side_information(coded.data)
        if network:
            gates.compare_decisions(coded.decided, side)
            gates.compare_model(side, network.identity)
        return replace(decoded, side=side, side_bits=side_information_bits(coded.data))

    def lagrangian(self, qp: int, bit_depth: int) -> float:
        """HM's, of intra pictures."""
        return float(0.57 * 2 ** ((qp - 12) / 3) * 4 ** (bit_depth - 8))

    def check_stream(self, data: bytes, network: Network) -> tuple[int, int]:
        """Decode with the program; raises gates.Inconsistency for missing and wrong hashes."""
        side = side_information(data)
        decoded = run.decode(self.tools, data, options=decoder_options(network))
        wrong = [poc for poc, verdict in decoded.verdicts if verdict != "OK"]
        if wrong:
            raise gates.Inconsistency(f"{len(wrong)} of {len(decoded.verdicts)} picture hashes are missing or wrong, first POC {wrong[0]}")
        return len(decoded.verdicts), sum(information is not None and information.filters for information in side)


CODEC = Hm


def decoder_options(network: Network) -> tuple[str, ...]:
    """What the decoder is told."""
    return (f"--VRCNNKernel={network.kernel}", *([f"--VRCNNModel={network.model}"] if network.model else []))
