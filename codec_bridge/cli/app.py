"""codec-bridge: filter coded video, evaluate BD-rate, and check that encoder and decoder agree bit for bit."""

import typer

from codec_bridge.cli import bdrate, bench, check, codecs, conformance, pairs, report, research
from codec_bridge.cli import filter as filtering
from codec_bridge.codecs.hm.places import HM
from codec_bridge.codecs.libde265.places import LIBDE265
from codec_bridge.codecs.x265.places import X265
from vrcnn_int.console import run

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.command("bdrate")(bdrate.bdrate)
app.command("contact-sheet")(report.make_contact_sheet)
app.command("report")(report.make_report)
app.command("check")(check.check)
app.command("filter")(filtering.filter_video)
app.command("conformance")(conformance.check_conformance)
app.command("bench")(bench.run_bench)
app.command("compare")(research.compare_methods)

pairs_app = typer.Typer(no_args_is_help=True, help="Training pairs for `vrcnn-int train`.")
pairs_app.command("make")(pairs.make_pairs)
pairs_app.command("code")(pairs.code_pairs)
pairs_app.command("upscale")(research.upscale_pairs)
pairs_app.command("pack")(pairs.pack_pairs)
app.add_typer(pairs_app, name="pairs")

hm_app = codecs.source_tree_app(HM, "--hm")
hm_app.command("inspect")(codecs.hm_inspect)
app.add_typer(hm_app, name=HM.name.lower())
for codec in (X265, LIBDE265):
    app.add_typer(codecs.source_tree_app(codec), name=codec.name)


def main() -> None:
    """Entry point of the command `codec-bridge`."""
    run(app)
