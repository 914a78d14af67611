"""The one exception that ends in a clear line: it names the thing and the remedy."""

__all__ = ["NoMulError", "first_line"]


class NoMulError(Exception):
    """A problem with the user's input, files or tools.

    The message is one line: what is wrong, with the offending name and value, then what to do.
    The command line prints it without a traceback and exits with status 1; every other exception
    is a defect of NoMul.
    """


def first_line(error: BaseException) -> str:
    """What an exception says, on one line; its type where it says nothing.

    >>> first_line(ValueError("too long\\nfor one line")), first_line(EOFError())
    ('too long', 'EOFError')
    """
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
