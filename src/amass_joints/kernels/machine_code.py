"""The CPU kernel's machine code: compiled once per user and kind of processor, kept, and loaded without Numba.

To import Numba takes longer than all the rest of the program's start; to load what it made takes some milliseconds.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import re
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm
import numpy as np
import platformdirs

from amass_joints.errors import InputError
from amass_joints.files import written_whole


class Functions(NamedTuple):
    """The functions of :mod:`.compiled`. They take addresses and sizes, and release Python's lock."""

    linearise: Callable[..., None]
    assemble: Callable[..., None]


NUM_ARGUMENTS = {"linearise": 15, "assemble": 21}

SOURCES = [Path(__file__).with_name(name) for name in ("compiled.py", "cpu.py", "machine_code.py")]

_loaded: dict[np.dtype[Any], Functions] = {}
_engines: list[llvm.ExecutionEngine] = []
"""They own the memory that the functions lie in."""
_lock = threading.Lock()


def load(dtype: np.dtype[Any]) -> Functions:
    """Load the functions for a dtype, float32 or float64; compile them where that was never done."""
    with _lock:
        if dtype not in _loaded:
            file = _file(dtype)
            code = _kept(file) or _compile(dtype, file)
            engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
            engine.add_object_file(llvm.ObjectFileRef.from_data(code))
            engine.finalize_object()
            _engines.append(engine)
            _loaded[dtype] = Functions(**{name: _function(engine, name) for name in NUM_ARGUMENTS})
        return _loaded[dtype]


def _function(engine: llvm.ExecutionEngine, name: str) -> Callable[..., None]:
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_size_t] * NUM_ARGUMENTS[name])
    function: Callable[..., None] = prototype(engine.get_function_address(name))
    return function


def _machine() -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        *_processor(), opt=3, reloc="default", codemodel="jitdefault", jit=True
    )


def _processor() -> tuple[str, str]:
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def _file(dtype: np.dtype[Any]) -> Path | None:
    """Name the file for all that the code depends on; None where there is no place, as without a home."""
    numba = importlib.util.find_spec("numba")  # which does not import it
    try:
        compilers = llvmlite.__version__, Path(str(numba and numba.origin)).with_name("_version.py").read_bytes()
        sources = [source.read_bytes() for source in SOURCES]
        directory = platformdirs.user_cache_path("amass-joints")
    except (OSError, RuntimeError):
        return None
    settings = sorted(item for item in os.environ.items() if item[0].startswith("NUMBA_"))
    made_from = repr((sources, compilers, settings, llvm.get_process_triple(), _processor()))
    name = f"kernel-{dtype.name}-{hashlib.sha256(made_from.encode()).hexdigest()[:16]}"
    return directory / name if directory.is_absolute() else None


def _kept(file: Path | None) -> bytes | None:
    """Give the code that was kept, if it was, and is whole: damaged machine code would crash."""
    try:
        content = file.read_bytes() if file else b""
    except OSError:
        return None
    checksum, code = content[:4], content[4:]
    return code if code and checksum == _checksum(code) else None


def _checksum(code: bytes) -> bytes:
    return zlib.crc32(code).to_bytes(4, "little")


def _compile(dtype: np.dtype[Any], file: Path | None) -> bytes:
    """Compile the functions to an object file, and keep it."""
    module = llvm.parse_assembly("")
    with _no_debugging():
        from amass_joints.kernels import compiled

        functions = compiled.compile_for(dtype)
    for name, function in functions.items():
        part = llvm.parse_assembly(function.inspect_llvm())
        part.get_function(function.native_name).name = name
        module.link_in(part)
    module.link_in(llvm.parse_assembly(_never_used(module)))
    code: bytes = _machine().emit_object(module)
    with suppress(OSError, InputError):  # it is compiled again next time
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(file) as stream:
                stream.write(_checksum(code) + code)
    return code


@contextmanager
def _no_debugging() -> Iterator[None]:
    """Leave aside what users may have set to debug code of their own: ours does not compile with it, or may raise."""
    from numba import config

    aside = {"DISABLE_JIT": 0, "BOUNDSCHECK": None}
    was = {name: getattr(config, name) for name in aside}
    try:
        for name, value in aside.items():
            setattr(config, name, value)
        yield
    finally:
        for name, value in was.items():
            setattr(config, name, value)


def _never_used(module: llvm.ModuleRef) -> str:
    """Define what the functions would use of Numba and of Python if they raised an exception, which they never do.

    What else they use must be there in any process, such as memset.
    """

    def foreign(values: Iterable[Any]) -> list[str]:
        names = [value.name for value in values if value.is_declaration and not value.name.startswith("llvm.")]
        unknown = [name for name in names if not re.match("numba_|NRT_|_?Py", name)]
        if absent := [name for name in unknown if llvm.address_of_symbol(name) is None]:
            raise RuntimeError(
                f"the compiled kernel needs {absent}, which this version of Numba does not make a part of it"
            )
        return [name for name in names if name not in unknown]

    functions = [
        f'define void @"{name}"() {{ call void @llvm.trap() unreachable }}' for name in foreign(module.functions)
    ]
    variables = [f'@"{name}" = global i8 0' for name in foreign(module.global_variables)]
    return "\n".join(["declare void @llvm.trap()", *functions, *variables])
