"""The version of the Python packages, which is also pyproject.toml's and the C library's."""

__version__ = "0.1.0"
