"""The base of every error that a user can cause."""


class VrcnnError(Exception):
    """Something the user gave is missing, damaged or impossible. The message is one line: what is wrong and what to do.

    Command lines print it as ``error: <message>`` and exit with a non-zero code; it is never shown as a traceback.
    """
