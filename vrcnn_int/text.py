"""What comes from outside, as text that can be shown: names of files, headers, what other programs say."""

import os
from pathlib import Path


def named(path: str | Path) -> str:
    """A path or command line as documents can hold it: bytes that are no Unicode are escapes such as \\xff."""
    return os.fsencode(path).decode(errors="backslashreplace")


def counted(count: int, thing: str) -> str:
    """'1 picture', '2 pictures'."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def plain(text: str) -> str:
    """One line that does nothing to a terminal or a document: control characters, line ends, those that turn the direction of writing,
    and bytes of names that are no Unicode, are shown as escapes such as \\x1b."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text)
