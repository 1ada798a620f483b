"""A stand-in for CuPy on the CPU, for tests of the code that holds arrays and launches kernels.

Arrays are wrappers that are no arrays of NumPy: implicit conversion raises, explicit conversion counts as a
synchronisation, and ``empty`` is poisoned.  Names and keywords are looked up in the real CuPy if it can be
imported (it can without a GPU), so that what it lacks fails here, too.  Kernels run by :mod:`.host_module`.
"""

import functools
import importlib
import inspect
import types

import numpy as np

from .host_module import HostModule

try:
    import cupy as _real
except ImportError:  # names are not compared then
    _real = None
ATTRIBUTES = ("shape", "dtype", "ndim", "size", "nbytes", "strides", "flags", "itemsize")
FORMS = ("__{}__", "__r{}__", "__i{}__")


class Log:
    """What has been done since the last reset."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.launches, self.operations, self.synchronisations, self.uploads = [], [], 0, 0
        self.bytes_up = self.bytes_down = 0
        self.used = None  # the current device


LOG = Log()


class ndarray:  # noqa: N801 - the name of the class it stands for
    """An array on the device."""

    def __init__(self, values):
        self._values = values

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    @property
    def device(self):
        return Device(0)

    def __dlpack_device__(self):
        return 2, 0

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        return self._values  # where a capsule with an address would be

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **keywords):
        """Functions of NumPy find those of CuPy, which know fewer keywords."""
        if method != "__call__" or set(keywords) - {"dtype", "casting"}:
            raise TypeError(f"Wrong arguments {keywords}")
        if _real is not None and not hasattr(_real, ufunc.__name__):
            raise TypeError(f"cupy has no {ufunc.__name__}")
        if out is not None:
            keywords["out"] = unwrapped(out)
        LOG.operations.append(ufunc.__name__)
        result = ufunc(*map(unwrapped, inputs), **keywords)
        return wrapped(result) if out is None else out[0]

    def __array_function__(self, function, types, arguments, keywords):
        place = [*function.__module__.split(".")[1:], function.__name__]  # such as linalg, norm
        model = None if _real is None else functools.reduce(getattr, place, _real)
        return counted(function, function.__name__, model)(*arguments, **keywords)

    def get(self):
        LOG.synchronisations += 1
        LOG.bytes_down += self._values.nbytes
        return self._values.copy()

    def set(self, values):
        if values.dtype != self.dtype or values.shape != self.shape:
            raise ValueError("set: not the same shape and type")
        LOG.uploads += 1
        LOG.bytes_up += values.nbytes
        self._values[...] = values

    @property
    def data(self):
        return types.SimpleNamespace(ptr=self._values.ctypes.data)

    def item(self):
        return self.get().item()

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __bool__(self):
        return bool(self.item())

    def __len__(self):
        return len(self._values)

    def __getitem__(self, where):
        return wrapped(self._values[unwrapped(where)])

    def __setitem__(self, where, value):
        self._values[unwrapped(where)] = unwrapped(value)

    def __getattr__(self, name):
        if name in ATTRIBUTES:
            return getattr(self._values, name)
        if name.startswith("__"):
            raise AttributeError(name)
        if _real is not None and not hasattr(_real.ndarray, name):
            raise AttributeError(f"cupy.ndarray has no attribute {name!r}")
        found = getattr(self._values, name)
        return counted(found, name, None) if callable(found) else wrapped(found)


def _operator(name):
    def operate(self, *others):
        result = getattr(self._values, name)(*map(unwrapped, others))
        LOG.operations.append(name)
        return self if name.startswith("__i") and name != "__invert__" else wrapped(result)

    return operate


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or"):
    for _form in FORMS:
        setattr(ndarray, _form.format(_name), _operator(_form.format(_name)))
for _name in ("neg", "abs", "invert", "lt", "le", "gt", "ge", "eq", "ne"):
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))


def unwrapped(value):
    if isinstance(value, ndarray):
        return value._values
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, (tuple, list)):
        return type(value)(map(unwrapped, value))
    if isinstance(value, dict):
        return {key: unwrapped(item) for key, item in value.items()}
    return value


def wrapped(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return ndarray(np.asarray(value))
    return type(value)(map(wrapped, value)) if isinstance(value, (tuple, list)) else value


def counted(function, name, real):
    """The function, on arrays of the device; refused is what the real one does not take."""
    try:
        signature = None if real is None else inspect.signature(real)
    except (TypeError, ValueError):
        signature = None

    @functools.wraps(function)
    def call(*arguments, **keywords):
        if signature is not None:
            signature.bind(*arguments, **keywords)
        LOG.operations.append(name)
        return wrapped(function(*unwrapped(arguments), **unwrapped(keywords)))

    return call


class Mirror(types.ModuleType):
    """A module of NumPy or SciPy under the name of one of CuPy."""

    def __init__(self, name, host):
        super().__init__(name)
        self._host = importlib.import_module(host)
        self._model = None if _real is None else importlib.import_module(name)

    def __getattr__(self, name):
        if self._model is not None and not hasattr(self._model, name):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        found = getattr(self._host, name)
        if isinstance(found, type) or not callable(found):
            return found
        return counted(found, name, getattr(self._model, name, None))


class Device:
    """A device that is always there."""

    def __init__(self, number=0):
        self.id = number

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def use(self):
        LOG.used = self.id

    def synchronize(self):
        LOG.synchronisations += 1


class Pool:
    """Memory of which nothing is known."""

    def free_all_blocks(self):
        pass

    def total_bytes(self):
        return 0

    def free_bytes(self):
        return 0


class Runtime:
    """One device, and a driver that is none."""

    CUDARuntimeError = RuntimeError
    devices, driver = 1, 12090

    def getDeviceCount(self):  # noqa: N802
        return self.devices

    def driverGetVersion(self):  # noqa: N802
        return self.driver

    def memGetInfo(self):  # noqa: N802
        return 250_000_000, 8_000_000_000

    def getDeviceProperties(self, number):  # noqa: N802
        return {"name": b"no device"}


class FakeCuPy(Mirror):
    """The module; `flavour` and `order` are those of the kernels."""

    ndarray = ndarray
    largest = float("inf")  # bytes of an array

    def __init__(self, flavour="plain", order="forward"):
        super().__init__("cupy", "numpy")
        self.log, self._kernels = LOG, (flavour, order)
        self.cuda = types.SimpleNamespace(Device=Device, runtime=Runtime())
        self.__version__ = "0.0 (none)"

    def get_default_memory_pool(self):
        return Pool()

    def asarray(self, values, dtype=None, order=None):
        if isinstance(values, ndarray):
            return ndarray(np.asarray(values._values, dtype, order=order))
        LOG.uploads += 1
        copy = np.array(values, dtype, order=order or "C")
        LOG.bytes_up += copy.nbytes
        return ndarray(copy)

    def from_dlpack(self, array, *, device=None, copy=None):
        if array.__dlpack_device__() != (2, 0):
            raise BufferError("not on this device")
        return ndarray(array.__dlpack__())

    def asnumpy(self, values):
        return values.get() if isinstance(values, ndarray) else np.asarray(values)

    def empty(self, shape, dtype=float):
        values = np.empty(shape, dtype)
        if values.nbytes > self.largest:
            raise MemoryError(f"Out of memory allocating {values.nbytes:,} bytes")
        values.view(np.uint8)[...] = 0xFF  # not a number, or -1
        return ndarray(values)

    def RawModule(self, *, code, options=()):  # noqa: N802
        return RawModule(HostModule(code, *self._kernels))


class RawModule:
    """Kernels whose launches are counted."""

    def __init__(self, module):
        self._module = module

    def get_function(self, name):
        kernel = self._module.get_function(name)

        def launch(grid, block, arguments, *, shared_mem=0):
            if any(isinstance(value, np.ndarray) and value.ndim for value in arguments):
                raise TypeError(f"{name}: an argument is an array of the host")
            LOG.launches.append(name)
            kernel(grid, block, tuple(map(unwrapped, arguments)), shared_mem=shared_mem)

        return launch
