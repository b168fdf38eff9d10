"""codec-bridge: filter coded video, evaluate BD-rate, and check that encoder and decoder agree bit for bit."""

from codec_bridge.cli import bdrate, bench, check, codecs, conformance, pairs, report, research
from codec_bridge.cli import filter as filtering
from codec_bridge.codecs.hm.places import HM
from codec_bridge.codecs.libde265.places import LIBDE265
from codec_bridge.codecs.x265.places import X265
from vrcnn_int.io.console import command_line

app = command_line(
    __doc__,
    {
        "bdrate": bdrate.bdrate,
        "contact-sheet": report.make_contact_sheet,
        "report": report.make_report,
        "check": check.check,
        "filter": filtering.filter_video,
        "conformance": conformance.check_conformance,
        "bench": bench.run_bench,
        "compare": research.compare_methods,
        "pairs": command_line(
            "Training pairs for `vrcnn-int train`.",
            {"make": pairs.make_pairs, "code": pairs.code_pairs, "upscale": research.upscale_pairs, "pack": pairs.pack_pairs},
        ),
        HM.name.lower(): codecs.source_tree(HM, "--hm", {"inspect": codecs.hm_inspect}),
        X265.name: codecs.source_tree(X265),
        LIBDE265.name: codecs.source_tree(LIBDE265),
    },
    "codec-bridge",
)
