"""JSON files that users write: read with bounds, and refused with a sentence."""

from __future__ import annotations

import json
import os
import reprlib
import stat
from typing import Any

from amass_joints.errors import InputError

MOST_BYTES = 4 << 20
"""Of a file: ten thousand cameras, or all of AMASS's sequences, one by one, four times."""


def read_json(path: str | os.PathLike[str], expected: str) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        expected: what should be in it, for messages.

    Raises:
        InputError: it cannot be read, or is too large, or no JSON, or has a name twice in one object, of which one
            would be lost.
    """
    name = os.fspath(path)

    def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) < len(pairs):
            names = [key for key, _ in pairs]
            twice = next(key for key in names if names.count(key) > 1)
            raise InputError(f"{name}: {shown(twice)} stands twice in one object; expected it once.")
        return entries

    try:
        if not stat.S_ISREG(os.stat(name).st_mode):  # a pipe would be waited for
            raise InputError(f"{name}: it is no regular file; expected {expected}.")
        with open(name, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}; expected {expected}.") from error
    except ValueError as error:  # a name with a null character
        raise InputError(f"{shown(name)}: cannot be read: {error}.") from error
    if len(data) > MOST_BYTES:
        raise InputError(f"{name}: it is larger than {MOST_BYTES >> 20} MiB; expected {expected}.")
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=once_each)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)[:200]
        raise InputError(f"{name}: not JSON: {reason}; expected {expected}.") from error


def shown(value: Any) -> str:
    """Give a value for a message: on one line, printable, and not long."""
    text = f"'{value}'" if isinstance(value, str) else _SHORT.repr(value)
    text = text if len(text) <= 80 else f"{text[:77]}..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


_SHORT = reprlib.Repr()  # which goes only some levels deep
