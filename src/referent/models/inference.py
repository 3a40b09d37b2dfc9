"""What the inference forms of models have in common."""

from __future__ import annotations

from torch import Tensor

from referent.models.base import Batch, Output, SegmentationModel


class InferenceForm(SegmentationModel):
    """A trained model in a form that answers faster and cannot train."""

    def losses(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """Not available.

        Raises:
            NotImplementedError: always: train the model that this one was made of.
        """
        raise NotImplementedError("the inference form cannot train; use the model that it was made of")
