"""vrcnn_int: train, quantize, prove and export integer-only VRCNN in-loop filters. Importing it does not import torch."""

__version__ = "0.1.0"
