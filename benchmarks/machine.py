"""Where a measurement was taken: the machine, and the versions of what ran on it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path

from amass_joints.executors import cores_at_hand

PACKAGES = ("amass-joints", "numpy", "numba", "isal", "torch", "smplx", "smplfitter")


def machine() -> dict[str, str]:
    """Describe the machine, as far as it says."""
    facts = {
        "processor": _processor(),
        "cores": f"{cores_at_hand()} at hand of {os.cpu_count()}",
        "memory": _memory(),
        "system": platform.platform(),
        "GPU": gpu() or "none that PyTorch can use",
    }
    return {name: fact for name, fact in facts.items() if fact}


def versions() -> dict[str, str]:
    """Give the version of Python, and of each package or that it is not installed."""
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def gpu() -> str | None:
    """Name the GPU that PyTorch would use first; None where there is none, or no PyTorch."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")  # Linux's; elsewhere Python knows the family at least
    models = re.findall("model name.*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else []
    return str(models[0]) if models else platform.processor()


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (AttributeError, ValueError, OSError):  # not every system has these names
        return ""
