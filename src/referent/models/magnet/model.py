"""MagNet: Mask Grounding for referring image segmentation (Chng et al., CVPR 2024)."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.build import build_image_encoder, build_text_encoder
from referent.encoders.clip import CLIPTextEncoder
from referent.layers.losses import dice, presence
from referent.layers.presence import PresenceHead
from referent.models.base import Batch, Output, SegmentationModel
from referent.models.magnet import losses
from referent.models.magnet.alignment import Alignment, PaperAlignment, PlainAlignment
from referent.models.magnet.config import MagNetConfig
from referent.models.magnet.grounding import Grounding, hide
from referent.models.magnet.mask_decoder import MaskDecoder
from referent.models.magnet.pixel_decoder import PixelDecoder
from referent.models.magnet.released import ReleasedAlignment, Unread

RELEASED_LENGTH = 20
"""Tokens a phrase in the released code, padding included, which its language side reads where its gates are open."""

AT_ONCE = 4
"""References answered together: nearly all work is done for each anew, so more would cost memory and save no time."""

_log = logging.getLogger("referent")


class MagNet(SegmentationModel):
    """Two encoders that exchange information after every stage, a pixel decoder, and a decoder with one query."""

    def __init__(self, config: MagNetConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = build_image_encoder(config.image)
        self.text_encoder = build_text_encoder(config.text)
        if isinstance(self.text_encoder, CLIPTextEncoder):
            self.text_encoder.projection.requires_grad_(False)  # of the sentence's state, which is not read
        channels, width = self.image_encoder.channels, config.pixel_decoder.width
        self.alignments = nn.ModuleList(self._alignment(stage) for stage in range(len(channels)))
        self.pixel_decoder = PixelDecoder(config.pixel_decoder, channels)
        self.mask_decoder = MaskDecoder(width, len(channels) - 1, config.mask_decoder)
        self.phrase = nn.Linear(self.text_encoder.width, width) if config.alignment is not None else None
        self.grounding = (
            Grounding(config.grounding, self.text_encoder.width, width, self.text_encoder.rows, config.predictor)
            if config.grounding != "none"
            else None
        )
        self.presence = PresenceHead(width, self.text_encoder.width) if config.presence else None
        if config.module == "released":
            self.unread = Unread(channels, self.text_encoder.width, width)
            self.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
                lambda model, _: model.say_which_language_side()
            )

    def _alignment(self, stage: int) -> Alignment:
        config, channels, width = self.config, self.image_encoder.channels, self.text_encoder.width
        goes_on = stage + 1 < len(channels)
        if config.module == "plain":
            return PlainAlignment(channels[stage], width, goes_on)
        if config.module == "released":
            return ReleasedAlignment(channels[stage], width, config.pyramid, config.expansion, goes_on)
        words_read = goes_on or config.alignment is not None or config.grounding != "none" or config.presence
        return PaperAlignment(channels[stage], width, config.pyramid, config.expansion, words_read, config.relative)

    def look_at(self, image: Tensor) -> tuple[Tensor, ...]:
        """The first stage of the image encoder, which no phrase enters.

        Args:
            image: (B, 3, H, W) float, normalised; any size.

        Returns:
            The parts of the encoder's flow, and an empty tensor (B, 0, H, W) that knows the size of the picture.
        """
        flow = self.image_encoder.stages[0](self.image_encoder.stem(image))
        return *self.image_encoder.parts(flow), image[:, :0]

    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        """Mask logits of N references, (N, 1, H, W) at the picture's size; in training with `taps` for the losses."""
        if not self.training and len(batch.tokens) > AT_ONCE:
            rows = zip(torch.split(batch.tokens, AT_ONCE), torch.split(batch.picture, AT_ONCE), strict=True)
            answers = [self.answer(sight, replace(batch, tokens=tokens, picture=picture)) for tokens, picture in rows]
            presences = [answer.presence for answer in answers if answer.presence is not None]
            return Output(torch.cat([answer.logits for answer in answers]), torch.cat(presences) if presences else None)
        tokens = self._tokens(batch.tokens)
        seen, chosen = hide(tokens, self.text_encoder, self.config.predictor) if self._hides else (tokens, None)
        taps = self._decoded(sight, batch, seen)
        logits = F.interpolate(taps["masks"][:, -1:], sight[-1].shape[-2:], mode="bilinear", align_corners=True)
        judged = self._judged(taps, tokens)
        if not self.training:
            return Output(logits, judged)
        return Output(logits, judged, {**taps, "tokens": tokens, **({} if chosen is None else {"chosen": chosen})})

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Phrases alone, before they have seen a picture: (N, L) ids -> words (N, L, D), state (N, E)."""
        words, state = self.text_encoder(tokens)
        return words, state

    def guess(self, sight: tuple[Tensor, ...], batch: Batch, hidden: Tensor) -> Tensor:
        """What hidden words could be, given the true mask.

        Args:
            sight: of `look_at`.
            batch: with `target`; at most `AT_ONCE` references.
            hidden: (N, L) bool, the words that the model does not see.

        Returns:
            (N, L, V) logits over the rows of the table of tokens.

        Raises:
            ValueError: the model was trained without grounding, or the batch has no target.
        """
        if self.grounding is None or batch.target is None:
            raise ValueError("guessing needs a model with grounding and batch.target")
        tokens = torch.where(hidden, self.text_encoder.mask_id, batch.tokens)
        taps = self._decoded(sight, batch, tokens)
        scores: Tensor = self.grounding(taps["words"], tokens != 0, taps["coarse"], batch.target)
        return scores

    def _decoded(self, sight: tuple[Tensor, ...], batch: Batch, tokens: Tensor) -> dict[str, Tensor]:
        """All masks (N, M, h, w), mask features, the coarsest decoded map and the words, for `tokens` (N, L)."""
        parts = [batch.per_reference(part) for part in sight[:-1]]
        maps, words = self._encode(self.image_encoder.whole(parts), tokens)
        mask_features, decoded = self.pixel_decoder(maps)
        masks = self.mask_decoder(mask_features, decoded)
        return {"masks": masks, "pixels": mask_features, "coarse": decoded[0], "words": words}

    def _judged(self, taps: dict[str, Tensor], tokens: Tensor) -> Tensor | None:
        """(N,) logits that the phrase is true of something, from the mask, the mask features and the words."""
        if self.presence is None:
            return None
        judged: Tensor = self.presence(taps["pixels"], _mean(taps["words"], tokens), taps["masks"][:, -1:])
        return judged

    def _encode(self, flow: Any, tokens: Tensor) -> tuple[list[Tensor], Tensor]:
        """Both encoders, side by side, from the image encoder's first stage on: the maps of all stages, the words."""
        image_encoder, text_encoder = self.image_encoder, self.text_encoder
        keep = tokens != 0
        text = text_encoder.embed(tokens)
        maps = []
        last = len(self.alignments) - 1
        for stage, alignment in enumerate(self.alignments):
            if stage:
                flow = image_encoder.stages[stage](flow)
            for layer in dealt(text_encoder.layers, last + 1, stage):
                text = layer(text)
            feature_map = image_encoder.finish(flow) if stage == last else image_encoder.get_map(flow)
            aligned = alignment(feature_map, text_encoder.get_words(text), keep)
            maps.append(aligned.read)
            text = text_encoder.put_words(text, aligned.words)
            if stage < last:
                flow = image_encoder.put_map(flow, aligned.feature_map)
        return maps, text_encoder.finish(text, tokens)[0]

    @property
    def _hides(self) -> bool:
        return self.training and self.grounding is not None

    def _tokens(self, tokens: Tensor) -> Tensor:
        """Padding cut off where nothing depends on it, and added where the released language side reads it."""
        if self.config.module == "released" and self.language_is_read:
            return F.pad(tokens, (0, max(0, RELEASED_LENGTH - tokens.shape[1])))
        if torch.compiler.is_compiling():  # an exported graph must not depend on the values of tokens
            return tokens
        return tokens[:, : int((tokens != 0).any(0).nonzero().max()) + 1]

    def for_inference(self, dtype: torch.dtype = torch.float32, size: int = 480) -> SegmentationModel:
        """The same function in fewer operations, for answering on a CPU: see `MagNetInference`."""
        from referent.models.magnet.inference import MagNetInference  # which needs this module

        return MagNetInference(self, dtype, size)

    def losses(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """`bce` and `dice`, and `alignment`, `grounding` and `presence` where the configuration has them.

        In training mode only.

        Where masks are compared is configuration; alignment compares at the mask features' size, the target shrunk by
        nearest neighbour.

        Raises:
            ValueError: the batch has no target, or the output is not of training mode.
        """
        if batch.target is None or not output.taps:
            raise ValueError("losses need batch.target and an output of the model in training mode")
        taps, target = output.taps, batch.target
        masks = (taps["masks"] if self.config.deep_supervision else taps["masks"][:, -1:]).float()
        shrunk = F.interpolate(target, masks.shape[-2:], mode="nearest")
        if self.config.compared == "picture":
            masks = F.interpolate(masks, target.shape[-2:], mode="bilinear", align_corners=True)
        truth = target if self.config.compared == "picture" else shrunk
        named = {"bce": losses.cross_entropy(masks, truth), "dice": dice(masks, truth)}
        words, keep = taps["words"].float(), taps["tokens"] != 0
        if self.phrase is not None and self.config.alignment is not None:
            phrase = _mean(words, taps["tokens"])
            pixels = taps["pixels"].float()
            named["alignment"] = losses.alignment(pixels, self.phrase(phrase), shrunk, self.config.alignment)
        if self.grounding is not None:
            rows = self.text_encoder.rows_of(taps["tokens"])
            coarse = taps["coarse"].float()
            named["grounding"] = self.grounding.loss(words, keep, coarse, target, rows, taps["chosen"])
        if output.presence is not None:
            named["presence"] = presence(output.presence.float(), target)
        return named

    @property
    def language_is_read(self) -> bool:
        """Whether the released language side is run: always in training, else where one of its gates is open."""
        return any(alignment.language_is_read for alignment in self._released)

    @property
    def _released(self) -> list[ReleasedAlignment]:
        return [alignment for alignment in self.alignments if isinstance(alignment, ReleasedAlignment)]

    def train(self, mode: bool = True) -> MagNet:
        """As `nn.Module.train`; leaving training mode looks again which gates are open."""
        super().train(mode)
        for alignment in self._released:
            alignment.choose_language_side()
        return self

    def say_which_language_side(self) -> None:
        """After loading weights of the released code: looks which gates are open, and says what follows from it."""
        self.train(self.training)
        if any(alignment.language is not None and alignment.language.is_open() for alignment in self._released):
            _log.warning(
                "MagNet: these weights open the gates of the released language side, whose answers to padded phrases "
                "are numerically chaotic: they depend on the rounding of the machine"
            )
        else:
            _log.info("MagNet: the gates of the released language side are zero: it is skipped, and padding is cut off")


def _mean(words: Tensor, tokens: Tensor) -> Tensor:
    """(N, L, D), (N, L) -> (N, D): the mean of what is no padding, markers included."""
    keep = (tokens != 0)[..., None]
    return (words * keep).sum(1) / keep.sum(1)


def dealt(layers: nn.ModuleList, stages: int, stage: int) -> nn.ModuleList:
    """Layers that come before the alignment of `stage`: an even share, earlier stages first where it is not whole."""
    ends = [-(-len(layers) * (number + 1) // stages) for number in range(-1, stages)]
    share = layers[ends[stage] : ends[stage + 1]]
    assert isinstance(share, nn.ModuleList)
    return share
