"""Prints, as constraints for pip, the lowest version that the installed package allows of each of its dependencies.

The bounds are those in ``pyproject.toml``, as the package's metadata have them. What only extras need is left out.
"""

import importlib.metadata
import re

for requirement in importlib.metadata.requires("amass-joints") or []:
    if "extra ==" in requirement:
        continue
    lowest = re.match(r"([\w.-]+)[^;]*>=([\w.]+)", requirement)
    if lowest is None:
        raise SystemExit(f"{requirement}: no lower bound; give it one with which the tests pass: name>=version.")
    print("==".join(lowest.groups()))
