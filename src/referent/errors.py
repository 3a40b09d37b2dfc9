"""The errors a user can meet. Each message names the file or field, what was found, and what was expected."""

from collections.abc import Iterable

NAMES_SHOWN = 6


class ReferentError(Exception):
    """Base of every error that bad input can cause. The command line prints its message without a traceback."""


class PictureError(ReferentError):
    """A picture that cannot be used: missing, unreadable, empty, too large."""


class VideoError(ReferentError):
    """A video that cannot be used, or not to its end: missing, without pictures, damaged, cut off."""


class BadReferenceError(ReferentError):
    """A reference that cannot be used: a blank phrase, or a kind of reference that the model does not take."""


class WeightsError(ReferentError):
    """A weight file that cannot be used: of another model, keys missing or extra, unsafe, corrupt."""


class DataError(ReferentError):
    """A data set that cannot be used: missing pictures, wrong sizes, duplicate ids, broken JSON."""


class RecipeError(ReferentError):
    """A training recipe with an unknown or impossible setting."""


class TrainingError(ReferentError):
    """A training that cannot go on: NaN loss, a full disk, a checkpoint of another recipe."""


def listed(names: Iterable[str]) -> str:
    """The first few names in order, and how many more there are, for a message."""
    ordered = sorted(names)
    rest = len(ordered) - NAMES_SHOWN
    return ", ".join(ordered[:NAMES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
