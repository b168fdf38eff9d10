"""vrcnn-int: train, quantize, export and inspect integer in-loop filters."""

from vrcnn_int.cli import conformance, model, research, train
from vrcnn_int.io.console import command_line

app = command_line(
    __doc__,
    {
        "train": train.train,
        "teach": train.teach,
        "quantize": model.quantize,
        "reproduce": train.reproduce,
        "export": model.export,
        "ablate": research.ablate,
        "compare": research.compare,
        "paper-table": research.show_paper_table,
        "residual": research.residual,
        "inspect": model.inspect,
        "conformance": command_line(
            "Models, pictures and side information with what every implementation must make of them.",
            {"make": conformance.make_suite, "verify": conformance.verify_implementation},
        ),
        "classify": command_line(
            "ResNet-18 with integers only, on a folder that has a folder of pictures for each label.",
            {"train": research.classify_train, "evaluate": research.classify_evaluate},
        ),
    },
    "vrcnn-int",
)
