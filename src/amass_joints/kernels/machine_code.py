"""The CPU kernel's machine code: compiled once per user and kind of processor, kept, and loaded without Numba.

To import Numba takes longer than all the rest of the program's start; to load what it made takes some milliseconds.
"""

from __future__ import annotations

import ctypes
import hashlib
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm
import numpy as np
import platformdirs
from isal import isal_zlib

from amass_joints.errors import InputError
from amass_joints.files import written_whole


class Functions(NamedTuple):
    """The functions of :mod:`.compiled`. They take addresses and sizes, and release Python's lock."""

    linearise: Callable[..., None]
    assemble: Callable[..., None]


NUM_ARGUMENTS = {"linearise": 15, "assemble": 21}

SOURCES = [Path(__file__).with_name(name) for name in ("compiled.py", "cpu.py")]

_loaded: dict[np.dtype[Any], Functions] = {}
_engines: list[llvm.ExecutionEngine] = []
"""They own the memory that the functions lie in."""
_lock = threading.Lock()


def load(dtype: np.dtype[Any]) -> Functions:
    """Load the functions for a dtype, float32 or float64; compile them where that was never done."""
    with _lock:
        if dtype not in _loaded:
            code = _compiled_before(dtype) or _compile(dtype)
            engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
            engine.add_object_file(llvm.ObjectFileRef.from_data(code))
            engine.finalize_object()
            _engines.append(engine)
            _loaded[dtype] = Functions(
                **{
                    name: ctypes.CFUNCTYPE(None, *[ctypes.c_size_t] * num)(engine.get_function_address(name))
                    for name, num in NUM_ARGUMENTS.items()
                }
            )
        return _loaded[dtype]


def _machine() -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features().flatten()
    return llvm.Target.from_default_triple().create_target_machine(
        llvm.get_host_cpu_name(), features, opt=3, reloc="default", codemodel="jitdefault", jit=True
    )


def _kept_in(dtype: np.dtype[Any]) -> Path:
    """Name the file for a dtype, this source, this compiler and this processor."""
    made_by = (
        llvmlite.__version__,
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
    )
    key = hashlib.sha256(b"".join(source.read_bytes() for source in SOURCES) + repr(made_by).encode())
    return platformdirs.user_cache_path("amass-joints") / f"kernel-{dtype.name}-{key.hexdigest()[:16]}"


def _compiled_before(dtype: np.dtype[Any]) -> bytes | None:
    """Give what was kept, if it was, and is whole: damaged machine code would crash."""
    try:
        content = _kept_in(dtype).read_bytes()
    except OSError:
        return None
    checksum, code = content[:4], content[4:]
    return code if checksum == struct.pack("<I", isal_zlib.crc32(code)) else None


def _compile(dtype: np.dtype[Any]) -> bytes:
    """Compile the functions to an object file, and keep it, where there is a place to."""
    from amass_joints.kernels import compiled

    module = llvm.parse_assembly("")
    for name, function in compiled.compile_for(dtype).items():
        part = llvm.parse_assembly(function.inspect_llvm())
        part.get_function(function.native_name).name = name
        module.link_in(part)
    module.link_in(llvm.parse_assembly(_unreachable(module)))
    code = _machine().emit_object(module)
    path = _kept_in(dtype)
    with suppress(OSError, InputError):
        if path.is_absolute():  # or this user has no home
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as stream:
                stream.write(struct.pack("<I", isal_zlib.crc32(code)) + code)
    return code


def _unreachable(module: llvm.ModuleRef) -> str:
    """Define what the functions would call of Numba and of Python if they raised an exception, which they never do."""

    def foreign(values: Any) -> list[str]:
        names = [value.name for value in values if value.is_declaration]
        return [name for name in names if name.startswith(("numba_", "NRT_", "Py"))]

    functions = [f'define void @"{name}"() {{ unreachable }}' for name in foreign(module.functions)]
    variables = [f'@"{name}" = global i8 0' for name in foreign(module.global_variables)]
    return "\n".join(functions + variables)
