"""Running a model: device, precision, and passes of bounded size. Tensors only; pictures and phrases stay outside."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from referent.errors import ReferentError
from referent.layers.packed import bf16_is_native
from referent.models.base import Batch, Output, SegmentationModel, Studied

# References answered in one pass of the model: enough to fill the machine, few enough to bound its memory.
CHUNK = 16
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

_log = logging.getLogger("referent")


@dataclass(frozen=True)
class Encoded:
    """Pictures as a model sees them.

    Attributes:
        image: (B, 3, H, W) float32, normalised.
        sight: what `SegmentationModel.look_at` returned for them.
    """

    image: Tensor
    sight: tuple[Tensor, ...]

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return sum(tensor.nbytes for tensor in (self.image, *self.sight))


class Engine:
    """A model on its device, in evaluation mode, in one precision.

    Whatever makes a model answer faster is chosen here and nowhere else.

    Args:
        model: moved to `device` and put into evaluation mode.
        device: where to run; CUDA when there is one, else the CPU.
        dtype: float32, or bfloat16 where the machine is faster with it.
        size: side of the pictures, for which a model's inference form may choose its algorithms.
    """

    def __init__(
        self,
        model: SegmentationModel,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
        size: int = 416,
    ) -> None:
        self.device = device_of(device)
        self.dtype = dtype
        if dtype == torch.bfloat16:
            warn_of_emulated_bf16(self.device)
        self.model = model.eval().to(self.device)
        if self.device.type == "cpu":
            self.model = model.for_inference(dtype, size)
        # An inference form chooses the precision of every part itself.
        self._autocast = dtype != torch.float32 and self.model is model

    def encode(self, image: Tensor) -> Encoded:
        """(B, 3, H, W) float32 pictures to what the model sees in them."""
        image = image.to(self.device)
        with torch.inference_mode(), self._precision():
            return Encoded(image, self.model.look_at(image))

    def study(self, image: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """One example, (3, H, W) and (1, H, W), to what the model makes of it."""
        with torch.inference_mode(), self._precision():
            return self.model.study(image[None].to(self.device), mask[None].to(self.device))

    def remember(self, encoded: Encoded, mask: Tensor) -> tuple[Tensor, ...]:
        """M masks (M, 1, H, W) on one encoded picture as M examples: what `study` would give for them, M rows each."""
        with torch.inference_mode(), self._precision():
            return self.model.remember(encoded.sight, encoded.image, mask.to(self.device))

    def answer(
        self,
        encoded: Encoded,
        tokens: Tensor,
        rows: Sequence[int],
        examples: Studied | None = None,
        *,
        full_resolution: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """At most `CHUNK` references in one pass.

        Args:
            encoded: B pictures.
            tokens: (N, L) int64.
            rows: N rows of `encoded`, the picture that each reference is about.
            examples: of the N references, as `study` returned them.
            full_resolution: as in `Batch`.

        Returns:
            Probabilities (N, 1, h, w) float32, and (N,) float32 that the reference is true of anything, or None for a
            model without a presence head.
        """
        output = self.output(encoded, tokens, rows, examples, full_resolution=full_resolution)
        with torch.inference_mode():
            presence = None if output.presence is None else output.presence.float().sigmoid()
            return output.logits.float().sigmoid(), presence

    def output(
        self,
        encoded: Encoded,
        tokens: Tensor,
        rows: Sequence[int],
        examples: Studied | None = None,
        *,
        full_resolution: bool = False,
    ) -> Output:
        """All that the model says; arguments as in `answer`."""
        about = torch.tensor(rows, device=self.device)
        batch = Batch(encoded.image, tokens, about, examples=examples, full_resolution=full_resolution).to(self.device)
        with torch.inference_mode(), self._precision():
            return self.model.answer(encoded.sight, batch)

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self._autocast)


def default_device() -> torch.device:
    """CUDA when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_of(value: torch.device | str | None) -> torch.device:
    """A device that this machine has; `default_device()` for None.

    Raises:
        ReferentError: torch knows no such device, or the machine has none.
    """
    if value is None:
        return default_device()
    try:
        device = torch.device(value)
        torch.empty(0, device=device)
    # What torch raises depends on the device and on how it was built.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ReferentError(f"device: expected one of this machine, as cpu, found {value}: {reason}") from error
    return device


def warn_of_emulated_bf16(device: torch.device) -> None:
    """Says so where `device` is a CPU without instructions for bfloat16: there it is far slower than float32."""
    if device.type == "cpu" and not bf16_is_native():
        _log.warning("bf16: this CPU emulates it, which can be a hundred times slower than fp32")


def dtype_of(value: torch.dtype | str | None) -> torch.dtype:
    """A precision by its short name ("fp32", "bf16"), or torch's own; float32 for None.

    Raises:
        ReferentError: neither of the two.
    """
    dtype = DTYPES.get(value) if isinstance(value, str) else value or torch.float32
    if dtype is None or dtype not in DTYPES.values():
        raise ReferentError(f"dtype: expected {' or '.join(DTYPES)}, found {value}")
    return dtype
