"""Only what pyproject.toml cannot say: the cffi extension that holds the C library."""

from setuptools import setup

setup(cffi_modules=["codec_bridge/_build.py:ffibuilder"])
