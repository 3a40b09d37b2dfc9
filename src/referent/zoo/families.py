"""The systems: what code each of them has. Their modules are imported when a family is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from types import ModuleType

    from pydantic import BaseModel

    from referent.models.base import SegmentationModel


class Family(NamedTuple):
    """The code of one published system.

    Attributes:
        config: its pydantic configuration.
        model: its model class; `model(config)` builds one.
        official: its module with `config_of(state)`, `from_official(state)` and `to_official(state, config)`.
        preparation: settings of `Preparation` with which the authors trained, where they are not its defaults.
        nested: the entry of the authors' checkpoints that holds the tensors, and what their names begin with there
            ("module." where the code loads into a model wrapped by DataParallel).
    """

    config: type[BaseModel]
    model: Callable[[Any], SegmentationModel]
    official: ModuleType
    preparation: Mapping[str, Any] = {}
    nested: tuple[str, str] = ("state_dict", "module.")


def _cris() -> Family:
    from referent.models.cris import official
    from referent.models.cris.config import CRISConfig
    from referent.models.cris.model import CRIS

    return Family(CRISConfig, CRIS, official)


def _etris() -> Family:
    from referent.models.etris import official
    from referent.models.etris.config import ETRISConfig
    from referent.models.etris.model import ETRIS

    return Family(ETRISConfig, ETRIS, official)


def _magnet() -> Family:
    from referent.models.magnet import official
    from referent.models.magnet.config import MagNetConfig
    from referent.models.magnet.model import MagNet

    squashed = {
        "size": 480,
        "fit": "squash",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "context_length": 20,
        "tokenizer": "bert",
        "threshold": 0.5,
    }
    return Family(MagNetConfig, MagNet, official, squashed, ("model", ""))


def _unirefpp() -> Family:
    from referent.models.unirefpp import official
    from referent.models.unirefpp.config import UniRefConfig
    from referent.models.unirefpp.model import UniRef

    shortest = {
        "size": 800,
        "longest": 1333,
        "fit": "shortest",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "context_length": 77,
        "tokenizer": "bert",
        "threshold": 0.5,
    }
    return Family(UniRefConfig, UniRef, official, shortest, ("model", ""))


def _unirefpp_sam() -> Family:
    from referent.models.unirefpp.sam import official
    from referent.models.unirefpp.sam.config import UniRefSamConfig
    from referent.models.unirefpp.sam.model import UniRefSam

    longest_1024 = dict(_unirefpp().preparation) | {"size": 1024, "longest": 1024}
    return Family(UniRefSamConfig, UniRefSam, official, longest_1024, ("model", ""))


class _Families(Mapping[str, Family]):
    def __init__(self, loaders: Mapping[str, Callable[[], Family]]) -> None:
        self._loaders = loaders

    def __getitem__(self, name: str) -> Family:
        return self._loaders[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)


COMPOSED = frozenset({"reclip"})
"""Families without weights of their own."""

FAMILIES: Mapping[str, Family] = _Families(
    {"cris": _cris, "etris": _etris, "magnet": _magnet, "unirefpp": _unirefpp, "unirefpp-sam": _unirefpp_sam}
)
