"""The rules of protocols of videos as a table for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from referent.evaluation.videos.protocols import VideoProtocol

_FRAMES = {
    "all": "all from the object's first on",
    "inner": "all but the video's first and last",
    "later": "those after the object's first",
}


def _answers(protocol: VideoProtocol) -> str:
    if protocol.matched:
        return "paired with the objects they fit best"
    return "one pixel, one object" if protocol.rivals else "each expression by itself"


_COLUMNS: Mapping[str, Callable[[VideoProtocol], str]] = {
    "protocol": lambda protocol: f"`{protocol.name}` v{protocol.version}",
    "given": lambda protocol: ", ".join(protocol.tasks),
    "annotated frames that count": lambda protocol: _FRAMES[protocol.frames],
    "answers": _answers,
    "followed as": lambda protocol: f"`{protocol.procedure}`",
    "headline": lambda protocol: ", ".join(protocol.headline),
    "further numbers": lambda protocol: (
        ", ".join(name for name in protocol.numbers if name not in protocol.headline) or "-"
    ),
    "source": lambda protocol: protocol.source,
}


def video_rules(protocols: Iterable[VideoProtocol]) -> str:
    """A markdown table with one row a protocol, without a line end after it."""
    lines = [list(_COLUMNS), ["---"] * len(_COLUMNS)]
    lines += [[written(protocol) for written in _COLUMNS.values()] for protocol in protocols]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
