"""How commands end when something given to them cannot be used: with one message, and the exit code for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import typer

from amass_joints.errors import InputError


@contextmanager
def errors_for_people() -> Iterator[None]:
    """Print what users can put right as one message, and end with the exit code for it."""
    try:
        yield
    except InputError as error:
        _fail(f"Error: {error}")
    except OSError as error:
        _fail(f"Error: {error.filename or 'a file'}: {error.strerror or error}.")
    except MemoryError:
        _fail("Error: there is not enough memory for this.")


@contextmanager
def wrong_usage() -> Iterator[None]:
    """End with the exit code for wrong usage, where options make no sense whatever the files are."""
    try:
        yield
    except InputError as error:
        raise typer.BadParameter(str(error)) from error


def _fail(message: str) -> NoReturn:
    from amass_joints.display import say

    say(message, error=True)
    raise typer.Exit(1)


def check_report(report: Path | None) -> None:
    """See that a report can be written, before work is put into it."""
    from amass_joints.files import check_target

    if report is not None:
        if report.suffix.lower() in (".npz", ".npy", ".pkl"):
            raise typer.BadParameter(f"'{report}' is named like data; a report is JSON, such as report.json.")
        check_target(report)
