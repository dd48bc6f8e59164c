"""Every error that adaedge raises on purpose.

    AdaedgeError
    ├── MissingExtraError     a package that an optional extra brings is not installed; also a ModuleNotFoundError
    ├── ModelError            a name that is no model, or weights that do not fit it
    ├── CaptureError          a model that torch.export cannot capture, or that was captured wrongly
    ├── SplitError            a split point that does not exist
    ├── LevelError            a width or precision that cannot be
    ├── TrainingError         a training that cannot go on, or a checkpoint of another one
    ├── BundleError           a folder that is not a bundle, or lacks what is asked of it
    │   ├── BundleVersionError    written by another version of the format
    │   └── IntegrityError        a file whose bytes are not those that the manifest names
    ├── CodecError            a codec name that does not exist, or features that a codec cannot carry
    ├── PayloadError          received bytes that are truncated, foreign, oversized or corrupted
    ├── MetricError           answers that a metric cannot judge
    ├── SourceError           a video, camera or folder of images that cannot be read
    ├── CacheError            a cache of incremental inference that was used already, or is of another network
    ├── TraceError            a rate trace that cannot be read, or is not one
    ├── EnergyError           a power or energy figure that cannot be
    ├── ProfileError          a profile that cannot be read, joined or used
    ├── ScheduleError         a scheduler that was asked for something impossible
    └── LinkError             the edge server did not give a usable answer
        ├── LinkTimeoutError      not in time
        ├── LinkDownError         nothing listens there, or the connection broke
        ├── RefusedError          the edge server answered, and the answer was no
        │   └── OverloadError         it has more work than it can do in time: the link is well
        └── StaleReferenceError   it does not hold what a payload builds upon: the link is well, a refresh is welcome

A message says what came, what was expected, and the way out.
"""

import re

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST = 200


def first_line(error: Exception | None) -> str:
    r"""The first line of what another library says went wrong, without colours and of at most 200 characters.

    Args:
        error: what was raised. An exporter's word that it failed, raised from the cause, is passed over for the cause.

    Example:
        >>> first_line(ValueError("\x1b[96mno such layer\x1b[0m\n" + "a graph of many lines\n" * 1000))
        'ValueError: no such layer'
        >>> len(first_line(KeyError("x" * 1000)))
        200
    """
    while error is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    text = _COLOURS.sub("", str(error)).strip()
    line = f"{type(error).__name__}: {text.splitlines()[0].strip() if text else 'no message'}"
    return line if len(line) <= _LONGEST else line[: _LONGEST - 2] + " …"


class AdaedgeError(Exception):
    """Base of every error that adaedge raises on purpose."""


class MissingExtraError(AdaedgeError, ModuleNotFoundError):
    """A package that an optional extra brings is not installed: ``adaedge.extras`` knows which.

    An :class:`ImportError` too, so that ``try: from adaedge import Splittable`` can be answered as any missing import.

    Attributes:
        name: the package, as it is imported.
    """


class ModelError(AdaedgeError):
    """A name that is no model, or weights that do not fit it."""


class CaptureError(AdaedgeError):
    """A model that ``torch.export`` cannot capture, or that was captured wrongly."""


class SplitError(AdaedgeError):
    """A split point that does not exist."""


class LevelError(AdaedgeError):
    """A width or precision that cannot be."""


class TrainingError(AdaedgeError):
    """A training that cannot go on, or a checkpoint of another one."""


class BundleError(AdaedgeError):
    """A folder that is not a bundle, or lacks what is asked of it."""


class BundleVersionError(BundleError):
    """A bundle written by another version of the format."""


class IntegrityError(BundleError):
    """A file whose bytes are not those that the manifest names."""


class CodecError(AdaedgeError):
    """A codec name that does not exist, or features that a codec cannot carry."""


class PayloadError(AdaedgeError):
    """Received bytes that are truncated, foreign, oversized or corrupted."""


class MetricError(AdaedgeError):
    """Answers that a metric cannot judge."""


class SourceError(AdaedgeError):
    """A video, camera or folder of images that cannot be read."""


class CacheError(AdaedgeError):
    """A cache of incremental inference that was used already, or is of another network."""


class TraceError(AdaedgeError):
    """A rate trace that cannot be read, or is not one."""


class EnergyError(AdaedgeError):
    """A power or energy figure that cannot be."""


class ProfileError(AdaedgeError):
    """A profile that cannot be read, joined or used."""


class ScheduleError(AdaedgeError):
    """A scheduler that was asked for something impossible."""


class LinkError(AdaedgeError):
    """The edge server did not give a usable answer."""


class LinkTimeoutError(LinkError):
    """The answer did not come in time.

    Attributes:
        sent_bytes: bytes of the payload that had crossed by then; ``None`` where the link cannot know.
    """

    def __init__(self, message: str, sent_bytes: int | None = None) -> None:
        """A message for people, and what is known of the bytes."""
        super().__init__(message)
        self.sent_bytes = sent_bytes


class LinkDownError(LinkError):
    """Nothing listens there, or the connection broke."""


class RefusedError(LinkError):
    """The edge server answered, and the answer was no."""


class OverloadError(RefusedError):
    """The edge server has more work than it can do in time, or the terminal sends more than it was granted.

    The link is as well as before: one such answer in between is no reason to stay away, two in a row are.
    """


class StaleReferenceError(LinkError):
    """The edge server does not hold what a payload builds upon: it was restarted, or something was lost on the way.

    The link is well, and a refresh is welcome.
    """
