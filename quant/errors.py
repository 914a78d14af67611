"""The one exception that ends in a clear line: it names the thing and the remedy."""

__all__ = ["NoMulError"]


class NoMulError(Exception):
    """A problem with the user's input, files or tools.

    The message is one line: what is wrong, with the offending name and value, then what to do.
    The command line prints it without a traceback and exits with status 1; every other exception
    is a defect of NoMul.
    """
