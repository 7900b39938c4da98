"""The one error that users are meant to see."""


class InputError(ValueError):
    """Something given to the program cannot be used.

    The message names the file or argument, says what was expected and what was found, and what to do.
    """
