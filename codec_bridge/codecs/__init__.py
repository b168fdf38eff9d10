"""Codecs: how each is run, and where the filter goes into it."""
