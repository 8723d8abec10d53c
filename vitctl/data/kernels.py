"""TensorFlow's decoders by its C interface, without its Python package.

Whoever only asks whether TensorFlow decodes an image needs one kernel of it. Its shared library is
loaded in 0.3 CPU-seconds, the Python package in 4 to 10 (TensorFlow 2.21, 2 cores, 2026-11-29); the
kernel, its answer and its words are the same. The functions are those of `tensorflow/c/c_api.h`,
`tf_tensor.h`, `tf_tstring.h` and `eager/c_api.h`, which the bindings of other languages call. Where
the library is not to be had in this way, the package is asked.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vitctl.data.decode import ACCURATE_DCT, JPEG, decode
from vitctl.data.tensorflow import load_tensorflow, set_environment, tf_reason

# Of tensorflow/c/tf_datatype.h, and of tf_tstring.h: the bytes of a TF_TString.
_UINT8, _INT32, _STRING, _STRING_BYTES = 4, 3, 7, 24
# A ConfigProto: device_count {"GPU": 0}, intra_op_parallelism_threads 1 and inter_op 1. JAX owns
# the accelerators, and whoever wants more than one thread starts more than one process.
_CONFIG = b"\x0a\x07\x0a\x03GPU\x10\x00" + b"\x10\x01" + b"\x28\x01"

_EIGHTH = 8


class NotDecodedError(Exception):
    """TensorFlow can't decode these bytes; the text is what it says."""


def decoded_size(data: bytes) -> tuple[int, int]:
    """(height, width) of what `vitctl.data.decode.decode` makes of an encoded image.

    Raises `NotDecodedError` where that fails.
    """
    library = _library()
    if library is None:
        return _by_the_package(data)
    if data.startswith(JPEG):
        return library.size("DecodeJpeg", data, _jpeg_attributes(ratio=1))
    return library.size(
        "DecodeImage",
        data,
        {"channels": 3, "dtype": ctypes.c_int(_UINT8), "expand_animations": False},
    )


def jpeg_size_by_an_eighth(data: bytes) -> tuple[int, int] | None:
    """(height, width) of a JPEG that can be decoded at an eighth of its size, which takes half of
    the time: all of the file is read and all of its code words, only the pixels are not made. What
    can't be decoded so can't be decoded in full, and the other way round
    (`tests/data/test_kernels.py`), but for size: the kernel refuses 2^29 samples, of which an
    eighth has 64 times fewer.

    None where that says nothing of the whole. Raises `NotDecodedError`.
    """
    library = _library()
    if library is None:
        return None
    small = library.size("DecodeJpeg", data, _jpeg_attributes(ratio=_EIGHTH))
    height, width = library.integers("ExtractJpegShape", data, {}, count=3)[:2]
    # Rounded up, in libjpeg's `jpeg_calc_output_dimensions`.
    return (height, width) if small == (-(-height // _EIGHTH), -(-width // _EIGHTH)) else None


def load_for_one_thread() -> None:
    """Load now what the first image would load, in a process that works in one thread."""
    if _library() is None:
        tf = load_tensorflow()
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)


def _jpeg_attributes(*, ratio: int) -> dict[str, Any]:
    return {"channels": 3, "ratio": ratio, "dct_method": ACCURATE_DCT.encode()}


def _by_the_package(data: bytes) -> tuple[int, int]:
    tf = load_tensorflow()
    try:
        height, width, _ = decode(tf.constant(data)).shape
    except tf.errors.OpError as error:
        raise NotDecodedError(tf_reason(error)) from None
    return height, width


@functools.cache
def _library() -> _Library | None:
    """None where TensorFlow is installed otherwise than its wheels install it."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or spec.origin is None:
        return None
    for path in sorted(Path(spec.origin).parent.glob("libtensorflow_cc.*")):
        set_environment()
        try:
            return _Library(path)
        except (OSError, AttributeError):  # no library of this system, or without these functions
            continue
    return None


class _Library:
    """An eager context, in which one thread at a time runs an operation of one string."""

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        pointer, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p

        def function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
            loaded = getattr(library, name)
            loaded.restype, loaded.argtypes = result, arguments
            return loaded

        size = ctypes.c_size_t
        self._code = function("TF_GetCode", number, pointer)
        self._message = function("TF_Message", text, pointer)
        self._allocate = function("TF_AllocateTensor", pointer, number, pointer, number, size)
        self._data = function("TF_TensorData", pointer, pointer)
        self._delete_tensor = function("TF_DeleteTensor", None, pointer)
        self._begin_string = function("TF_StringInit", None, pointer)
        self._view = function("TF_StringAssignView", None, pointer, text, size)
        self._handle = function("TFE_NewTensorHandle", pointer, pointer, pointer)
        self._delete_handle = function("TFE_DeleteTensorHandle", None, pointer)
        self._resolve = function("TFE_TensorHandleResolve", pointer, pointer, pointer)
        self._dimension = function("TFE_TensorHandleDim", ctypes.c_int64, pointer, number, pointer)
        self._operation = function("TFE_NewOp", pointer, pointer, text, pointer)
        self._delete_operation = function("TFE_DeleteOp", None, pointer)
        self._add_input = function("TFE_OpAddInput", None, pointer, pointer, pointer)
        self._set_text = function("TFE_OpSetAttrString", None, pointer, text, text, size)
        self._set_integer = function("TFE_OpSetAttrInt", None, pointer, text, ctypes.c_int64)
        self._set_truth = function("TFE_OpSetAttrBool", None, pointer, text, ctypes.c_ubyte)
        self._set_type = function("TFE_OpSetAttrType", None, pointer, text, number)
        self._execute = function(
            "TFE_Execute",
            None,
            pointer,
            ctypes.POINTER(pointer),
            ctypes.POINTER(number),
            pointer,
        )
        self._status = function("TF_NewStatus", pointer)()
        options = function("TFE_NewContextOptions", pointer)()
        configure = function("TFE_ContextOptionsSetConfig", None, pointer, text, size, pointer)
        configure(options, _CONFIG, len(_CONFIG), self._status)
        self._context = function("TFE_NewContext", pointer, pointer, pointer)(options, self._status)
        function("TFE_DeleteContextOptions", None, pointer)(options)
        if not self._context:
            raise OSError(self._reason())
        self._lock = threading.Lock()

    def size(self, operation: str, data: bytes, attributes: dict[str, Any]) -> tuple[int, int]:
        """(height, width) of the image that an operation makes."""
        return self._run(
            operation,
            data,
            attributes,
            lambda made: tuple(self._dimension(made, axis, self._status) for axis in (0, 1)),
        )

    def integers(
        self, operation: str, data: bytes, attributes: dict[str, Any], *, count: int
    ) -> list[int]:
        """The first numbers of the int32 tensor that an operation makes."""

        def read(made: int) -> list[int]:
            tensor = self._resolve(made, self._status)
            try:
                return list((ctypes.c_int32 * count).from_address(self._data(tensor)))
            finally:
                self._delete_tensor(tensor)

        return self._run(operation, data, attributes, read)

    def _run(
        self, name: str, data: bytes, attributes: dict[str, Any], read: Callable[[int], Any]
    ) -> Any:
        with self._lock:
            # The string is a view of `data`, which lives longer.
            tensor = self._allocate(_STRING, None, 0, _STRING_BYTES)
            string = self._data(tensor)
            self._begin_string(string)
            self._view(string, data, len(data))
            given = self._handle(tensor, self._status)
            operation = self._operation(self._context, name.encode(), self._status)
            results, count = (ctypes.c_void_p * 1)(), ctypes.c_int(1)
            try:
                self._check()
                for key, value in attributes.items():
                    self._set(operation, key.encode(), value)
                self._add_input(operation, given, self._status)
                self._check()
                self._execute(operation, results, ctypes.byref(count), self._status)
                self._check()
                made = results[0]
                assert made is not None
                try:
                    return read(made)
                finally:
                    self._delete_handle(made)
            finally:
                if operation:
                    self._delete_operation(operation)
                self._delete_handle(given)
                self._delete_tensor(tensor)

    def _set(self, operation: int, key: bytes, value: Any) -> None:
        if isinstance(value, bool):
            self._set_truth(operation, key, value)
        elif isinstance(value, int):
            self._set_integer(operation, key, value)
        elif isinstance(value, bytes):
            self._set_text(operation, key, value, len(value))
        else:
            self._set_type(operation, key, value)

    def _check(self) -> None:
        if self._code(self._status):
            raise NotDecodedError(self._reason())

    def _reason(self) -> str:
        return tf_reason(Exception(self._message(self._status).decode("utf-8", "replace")))
