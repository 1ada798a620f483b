"""CUDA C compiled by g++ with ``host_shim.h``, and its kernels called on arrays of NumPy.

Same calls as those of :class:`cupy.RawModule`, but stricter: number, type, writability and contiguity of the
arguments are compared with the C++ signature, where the driver checks nothing.
"""

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
COMPILER = shutil.which("g++")
FLAVOURS = {
    "plain": ["-O2", "-ffp-contract=off"],
    "fma": ["-O2", "-mfma", "-ffp-contract=fast"],  # as NVRTC does
    "asan": ["-O1", "-g", "-fsanitize=address,undefined,float-cast-overflow",
             "-fno-sanitize-recover=undefined,float-cast-overflow"],
    "tsan": ["-O1", "-g", "-DSHIM_TSAN", "-fsanitize=thread"],
}  # fmt: skip
ORDERS = {"forward": 0, "reverse": 1, "random": 2}
_KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\('
)
#: What needs the threads of a block to take turns; functions of that kind are called block_...
_SYNCHRONISED = re.compile(r"__sync|__shfl|__shared__|\bblock_\w+\s*\(")
#: One launch at a time, as on one stream.
_LAUNCHING = threading.Lock()
_TAIL = """
extern "C" int launch_{0}(const shim::Launch* L, void** a) {{ return shim::launch(&{0}, L, a); }}
extern "C" const char* signature_{0}() {{ return shim::sig(&{0}); }}
"""


def rewritten(source):
    """The only change to the source: both forms of declarations of shared memory."""
    source = re.sub(
        r"extern\s+__shared__\s+([\w ]+?)\s+(\w+)\s*\[\s*\]\s*;",
        r"SHIM_DYN_SHARED(\1, \2);",
        source,
    )
    return re.sub(
        r"__shared__\s+([\w ]+?)\s+(\w+)\s*((?:\[[^\]]+\]\s*)*);", r"SHIM_SHARED(\1, \2, \3);",
        source,
    )  # fmt: skip


class Launch(ctypes.Structure):
    _fields_ = [
        ("g", ctypes.c_uint * 3), ("b", ctypes.c_uint * 3), ("shmem", ctypes.c_uint),
        ("flags", ctypes.c_uint), ("seed", ctypes.c_uint),
    ]  # fmt: skip


class HostModule:
    """The kernels of a source, compiled for the CPU."""

    def __init__(self, code, flavour="plain", order="forward", seed=0):
        self.order, self.seed = order, seed
        starts = [*_KERNEL.finditer(code)]
        ends = [match.start() for match in starts[1:]] + [len(code)]
        self.synchronised = {
            # else a plain loop, in which no race is seen
            match[1]: flavour == "tsan" or bool(_SYNCHRONISED.search(code[match.start() : end]))
            for match, end in zip(starts, ends, strict=True)
        }
        tail = "".join(_TAIL.format(name) for name in self.synchronised)
        tail += 'extern "C" const char* shim_error() { return shim::err.c_str(); }\n'
        self.library = ctypes.CDLL(str(built(rewritten(code) + tail, flavour)))
        self.library.shim_error.restype = ctypes.c_char_p

    def get_function(self, name):
        return HostKernel(self, name)


@functools.lru_cache
def built(code, flavour):
    """The shared library of a source, kept in a folder of this user until the machine is restarted."""
    folder = Path(tempfile.gettempdir()) / f"varreg-host-shim-{os.getuid()}"
    folder.mkdir(exist_ok=True, mode=0o700)
    command = [COMPILER, "-std=c++17", "-shared", "-fPIC", "-w", f"-I{HERE}", *FLAVOURS[flavour]]
    text = '#include "host_shim.h"\n#line 1 "kernels.cu"\n' + code
    key = repr(command) + text + (HERE / "host_shim.h").read_text()
    name = hashlib.sha256(key.encode()).hexdigest()[:24]
    library = folder / f"{name}.so"
    if not library.exists():
        source = folder / f"{name}.{os.getpid()}.cpp"
        source.write_text(text)
        made = source.with_suffix(".so")
        environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
        done = subprocess.run(
            [*command, str(source), "-o", str(made)],
            capture_output=True,
            text=True,
            env=environment,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        os.replace(made, library)
        source.unlink()
    return library


class HostKernel:
    """One kernel."""

    def __init__(self, module, name):
        self.module, self.name = module, name
        self.function = getattr(module.library, f"launch_{name}")
        signature = getattr(module.library, f"signature_{name}")
        signature.restype = ctypes.c_char_p
        self.signature = signature().decode().rstrip(",").split(",")

    def __call__(self, grid, block, arguments, *, shared_mem=0):
        if len(arguments) != len(self.signature):
            raise TypeError(
                f"{self.name}: {len(arguments)} arguments, the kernel has {len(self.signature)}"
            )
        kept, addresses = [], (ctypes.c_void_p * len(arguments))()
        for i, (value, wanted) in enumerate(zip(arguments, self.signature, strict=True)):
            kept.append(self._argument(i, value, wanted))
            addresses[i] = kept[-1][-1]
        three = [tuple(sizes) + (1,) * (3 - len(sizes)) for sizes in (grid, block)]
        flags = (not self.module.synchronised[self.name]) | ORDERS[self.module.order] << 1
        launch = Launch(*((ctypes.c_uint * 3)(*sizes) for sizes in three), shared_mem, flags)
        launch.seed = self.module.seed
        with _LAUNCHING:
            if self.function(ctypes.byref(launch), addresses):
                raise RuntimeError(f"{self.name}: {self.module.library.shim_error().decode()}")

    def _argument(self, number, value, wanted):
        """What has to be kept alive, and the address of the argument."""
        where = f"{self.name}: argument {number}"
        if wanted.startswith("*"):
            if not isinstance(value, np.ndarray):
                raise TypeError(f"{where}: the kernel wants a pointer; got {type(value).__name__}")
            if wanted[2] == "V":  # arguments of pairs, as bytes
                if value.dtype != np.uint8 or not value.size or value.size % int(wanted[3:]):
                    raise TypeError(f"{where}: {value.size} bytes for arguments of {wanted[3:]}")
            elif value.dtype.str[1:] != wanted[2:]:
                raise TypeError(f"{where}: the kernel wants {wanted[2:]}*; got {value.dtype}")
            if not value.flags.c_contiguous:
                raise ValueError(f"{where}: not contiguous")
            pointer = ctypes.c_void_p(value.ctypes.data)
            return value, pointer, ctypes.addressof(pointer)
        number = np.asarray(value)
        if number.ndim or number.dtype.str[1:] != wanted:
            raise TypeError(f"{where}: the kernel wants a number {wanted}; got {number.dtype}")
        return number, number.ctypes.data
