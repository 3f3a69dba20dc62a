"""Audio models, run natively: jobs on files, sound in memory parted into stems, speech cleaned live.

    import timbre
    report = timbre.run("separate", ["song.mp3"], model="htdemucs", on_event=print)
    stems = timbre.separate(samples, 44100)["vocals"]      # samples: float32, [channels, frames] or [frames]
"""

from __future__ import annotations

import ctypes
import json
import os
import pathlib
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Cancelled", "Denoiser", "Job", "Separator", "TimbreError", "devices", "job_kinds", "models", "run", "separate", "version"]

Event = Dict[str, Any]
OnEvent = Callable[[Event], None]
Samples = NDArray[np.float32]
Path = Union[str, "os.PathLike[str]"]
Inputs = Union[Path, Sequence[Path]]


class TimbreError(Exception):
    """What went wrong, in one sentence. After a job, `report` is what it did as far as it came."""

    report: Optional[Dict[str, Any]] = None


class Cancelled(TimbreError):
    """The work was asked to stop."""


_OK, _FAILED, _INVALID, _CANCELLED = range(4)
_ERROR_SIZE = 1024
_EventFunction = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)
_Floats = ctypes.POINTER(ctypes.c_float)


def _load() -> ctypes.CDLL:
    # In a wheel the library lies beside this file; TIMBRE_LIBRARY names another.
    beside = pathlib.Path(__file__).parent / "libtimbre.so.0"
    library = ctypes.CDLL(os.environ.get("TIMBRE_LIBRARY") or (str(beside) if beside.exists() else "libtimbre.so.0"))
    p, i, z, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t, ctypes.c_char_p
    planes = ctypes.POINTER(_Floats)
    error = [text, z]
    for name, result, arguments in (
        ("version", text, []),
        ("devices", p, error),
        ("models", p, error),
        ("job_kinds", p, error),
        ("free", None, [p]),
        ("job_create", p, [text, *error]),
        ("job_destroy", None, [p]),
        ("job_run", i, [p, _EventFunction, p]),
        ("job_cancel", None, [p]),
        ("job_report", text, [p]),
        ("job_error", text, [p]),
        ("separator_create", p, [text, _EventFunction, p, *error]),
        ("separator_destroy", None, [p]),
        ("separator_stem_count", z, [p]),
        ("separator_stem", text, [p, z]),
        ("separator_sample_rate", i, [p]),
        ("separator_run", i, [p, planes, i, z, i, planes, _EventFunction, p, *error]),
        ("separator_cancel", None, [p]),
        ("denoiser_create", p, [text, i, i, *error]),
        ("denoiser_destroy", None, [p]),
        ("denoiser_latency", z, [p]),
        ("denoiser_process", i, [p, planes, planes, z]),
        ("denoiser_reset", None, [p]),
        ("denoiser_set", i, [p, i, ctypes.c_float]),
    ):
        function = getattr(library, "timbre_" + name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _load()


class _Listener:
    """An event function for C. What the listener raises cancels the work, and is raised again when that has ended."""

    def __init__(self, on_event: Optional[OnEvent], cancel: Callable[[], None]):
        self.raised: Optional[BaseException] = None

        def call(_user: Optional[int], event: bytes) -> None:
            if on_event is None or self.raised is not None:
                return
            try:
                on_event(json.loads(event))
            except BaseException as raised:  # KeyboardInterrupt too
                self.raised = raised
                cancel()

        self.function = _EventFunction(call)

    def raise_again(self) -> None:
        if self.raised is not None:
            raise self.raised


def _failure(status: int, message: str) -> TimbreError:
    return (Cancelled if status == _CANCELLED else TimbreError)(message)


def _inputs(inputs: Inputs) -> List[str]:
    # A text is a sequence too, of its letters.
    return [os.fspath(i) for i in ([inputs] if isinstance(inputs, (str, os.PathLike)) else inputs)]


def _samples(samples: ArrayLike) -> Samples:
    given = np.asarray(samples)
    if given.size > 0 and given.dtype.kind != "f":
        raise TypeError(f"samples are floating-point numbers, full scale is 1; these are {given.dtype}")
    return given.astype(np.float32, copy=False)


def _rate(sample_rate: float) -> int:
    if int(sample_rate) != sample_rate:
        raise ValueError(f"a sample rate is a whole number, not {sample_rate!r}")
    return int(sample_rate)


def _text_of(function: Any) -> Any:
    error = ctypes.create_string_buffer(_ERROR_SIZE)
    text = function(error, len(error))
    if not text:
        raise TimbreError(error.value.decode())
    try:
        return json.loads(ctypes.string_at(text))
    finally:
        _library.timbre_free(text)


def version() -> str:
    """The library's version: "0.1.0"."""
    return _library.timbre_version().decode()


def devices() -> List[Dict[str, Any]]:
    """What there is to compute on here."""
    return _text_of(_library.timbre_devices)["devices"]


def models() -> List[Dict[str, Any]]:
    """The models of the catalogue, and what of them is on this machine."""
    return _text_of(_library.timbre_models)


def job_kinds() -> Dict[str, Dict[str, Any]]:
    """JSON Schemas of each kind of job and of its report."""
    return _text_of(_library.timbre_job_kinds)


class Job:
    """What a command of the program does: Job("separate", ["song.mp3"], two_stems="vocals").run()."""

    def __init__(self, kind: str, inputs: Inputs = (), **options: Any):
        text = json.dumps({"kind": kind, "inputs": _inputs(inputs), "options": options}, default=os.fspath)
        error = ctypes.create_string_buffer(_ERROR_SIZE)
        self._job = _library.timbre_job_create(text.encode(), error, len(error))
        if not self._job:
            raise TimbreError(error.value.decode())

    def run(self, on_event: Optional[OnEvent] = None) -> Dict[str, Any]:
        """Runs it, once, and gives its report. Raises Cancelled or TimbreError, and what on_event raised."""
        listener = _Listener(on_event, self.cancel)
        status = _library.timbre_job_run(self._job, listener.function, None)
        listener.raise_again()
        text = _library.timbre_job_report(self._job)
        report = json.loads(text) if text else None
        if status != _OK or report is None:
            failure = _failure(status, _library.timbre_job_error(self._job).decode() or "a job runs once")
            failure.report = report
            raise failure
        return report

    def cancel(self) -> None:
        """Ends the run as soon as it can: from any thread, and from on_event."""
        _library.timbre_job_cancel(self._job)

    def __del__(self) -> None:
        if getattr(self, "_job", None):
            _library.timbre_job_destroy(self._job)


def run(kind: str, inputs: Inputs = (), on_event: Optional[OnEvent] = None, **options: Any) -> Dict[str, Any]:
    """Runs a job and gives its report."""
    return Job(kind, inputs, **options).run(on_event)


def _planes(samples: Samples) -> Any:
    return (_Floats * len(samples))(*(row.ctypes.data_as(_Floats) for row in samples))


class Separator:
    """A model made ready for any number of arrays. Options are those of a separate job that say nothing about files."""

    def __init__(self, model: Path = "htdemucs", on_event: Optional[OnEvent] = None, **options: Any):
        text = json.dumps({"model": model, **options}, default=os.fspath)
        error = ctypes.create_string_buffer(_ERROR_SIZE)
        listener = _Listener(on_event, lambda: None)
        self._separator = _library.timbre_separator_create(text.encode(), listener.function, None, error, len(error))
        listener.raise_again()
        if not self._separator:
            raise TimbreError(error.value.decode())

    @property
    def stems(self) -> List[str]:
        count = _library.timbre_separator_stem_count(self._separator)
        return [_library.timbre_separator_stem(self._separator, i).decode() for i in range(count)]

    @property
    def sample_rate(self) -> int:
        """The rate at which nothing is resampled."""
        return _library.timbre_separator_sample_rate(self._separator)

    def run(self, samples: ArrayLike, sample_rate: float, on_event: Optional[OnEvent] = None) -> Dict[str, Samples]:
        """Parts [channels, frames], of 1 or 2 channels, or [frames], into an array of that shape for each stem."""
        given = _samples(samples)
        if given.ndim not in (1, 2):
            raise ValueError("samples are [channels, frames] or [frames]")
        mix = np.ascontiguousarray(np.atleast_2d(given))
        stems = self.stems
        out = np.empty((len(stems) * len(mix), mix.shape[1]), np.float32)
        error = ctypes.create_string_buffer(_ERROR_SIZE)
        listener = _Listener(on_event, self.cancel)
        status = _library.timbre_separator_run(
            self._separator, _planes(mix), len(mix), mix.shape[1], _rate(sample_rate), _planes(out), listener.function, None, error, len(error)
        )
        listener.raise_again()
        if status != _OK:
            raise _failure(status, error.value.decode())
        return {name: out[i * len(mix) : (i + 1) * len(mix)].reshape(given.shape) for i, name in enumerate(stems)}

    def cancel(self) -> None:
        """Ends the run that is under way: from any thread, and from on_event."""
        _library.timbre_separator_cancel(self._separator)

    def __del__(self) -> None:
        if getattr(self, "_separator", None):
            _library.timbre_separator_destroy(self._separator)


def separate(
    samples: ArrayLike, sample_rate: float, model: Path = "htdemucs", on_event: Optional[OnEvent] = None, **options: Any
) -> Mapping[str, Samples]:
    """Parts samples into stems, as Separator does, with a model that is used once."""
    return Separator(model, on_event, **options).run(samples, sample_rate, on_event)


class Denoiser:
    """Speech cleaned as it comes, some samples later."""

    def __init__(self, sample_rate: float, channels: int = 1, model: Path = "", attenuation_limit: float = 100, mix: float = 1):
        error = ctypes.create_string_buffer(_ERROR_SIZE)
        self._denoiser = _library.timbre_denoiser_create(os.fspath(model).encode(), _rate(sample_rate), channels, error, len(error))
        if not self._denoiser:
            raise TimbreError(error.value.decode())
        self._channels = channels
        _library.timbre_denoiser_set(self._denoiser, 0, attenuation_limit)
        _library.timbre_denoiser_set(self._denoiser, 2, mix)

    @property
    def latency(self) -> int:
        """Samples by which the output trails the input."""
        return _library.timbre_denoiser_latency(self._denoiser)

    def process(self, samples: ArrayLike) -> Samples:
        """As many samples as are given: [channels, frames], or [frames] of one channel."""
        given = _samples(samples)
        planes = np.ascontiguousarray(np.atleast_2d(given))
        if planes.ndim != 2 or len(planes) != self._channels:
            raise ValueError(f"samples are [{self._channels}, frames]")
        out = np.empty_like(planes)
        if _library.timbre_denoiser_process(self._denoiser, _planes(planes), _planes(out), planes.shape[1]) != _OK:
            raise TimbreError("the network failed; its state is that of a new stream")
        return out.reshape(given.shape)

    def reset(self) -> None:
        _library.timbre_denoiser_reset(self._denoiser)

    def __del__(self) -> None:
        if getattr(self, "_denoiser", None):
            _library.timbre_denoiser_destroy(self._denoiser)
