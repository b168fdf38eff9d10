"""Encoders and decoders that a plan describes by the command lines of their programs."""
