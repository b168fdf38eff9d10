"""vrcnn-int: train, quantize, export and inspect integer in-loop filters."""

import typer

from vrcnn_int.cli import conformance, model, research, train
from vrcnn_int.console import run

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.command("train")(train.train)
app.command("teach")(train.teach)
app.command("quantize")(model.quantize)
app.command("reproduce")(train.reproduce)
app.command("export")(model.export)
app.command("ablate")(research.ablate)
app.command("compare")(research.compare)
app.command("paper-table")(research.show_paper_table)
app.command("residual")(research.residual)
app.command("inspect")(model.inspect)

conformance_app = typer.Typer(
    no_args_is_help=True, help="Models, pictures and side information with what every implementation must make of them."
)
conformance_app.command("make")(conformance.make_suite)
conformance_app.command("verify")(conformance.verify_implementation)
app.add_typer(conformance_app, name="conformance")

classify_app = typer.Typer(
    no_args_is_help=True, help="ResNet-18 with integers only, on a folder that has a folder of pictures for each label."
)
classify_app.command("train")(research.classify_train)
classify_app.command("evaluate")(research.classify_evaluate)
app.add_typer(classify_app, name="classify")


def main() -> None:
    """Entry point of the command `vrcnn-int`."""
    run(app)
