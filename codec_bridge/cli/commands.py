"""codec-bridge: filter coded video, evaluate BD-rate, and check that encoder and decoder agree bit for bit."""

from codec_bridge import codecs
from codec_bridge.cli import announce, bd, bdrate, bench, check, conformance, pairs, passes, report, research, results, source_tree
from codec_bridge.cli import filter as filtering
from vrcnn_int.io.console import command_line

app = command_line(
    __doc__,
    {
        "bdrate": bdrate.bdrate,
        "bd": bd.bd,
        "contact-sheet": report.make_contact_sheet,
        "report": report.make_report,
        "results": command_line("What is published of it.", {"check": results.check_results}),
        "check": check.check,
        "filter": filtering.filter_video,
        "announce": announce.announce_filter,
        "conformance": conformance.check_conformance,
        "bench": bench.run_bench,
        "passes": passes.measure_passes,
        "compare": research.compare_methods,
        "pairs": command_line(
            "Training pairs for `vrcnn-int train`.",
            {
                "make": pairs.make_pairs,
                "code": pairs.code_pairs,
                "loop": pairs.loop_pairs,
                "sort": pairs.sort_pairs,
                "again": pairs.filter_pairs_again,
                "rings": pairs.measure_rings,
                "upscale": research.upscale_pairs,
                "pack": pairs.pack_pairs,
            },
        ),
        **{word: source_tree.commands(codec) for word, codec in codecs.trees().items()},
    },
    "codec-bridge",
)
