"""ETRIS: bridging vision and language encoders, parameter-efficient tuning for referring image segmentation
(Xu et al., ICCV 2023)."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor, nn

from referent.encoders.base import ImageEncoder
from referent.encoders.build import build_image_encoder
from referent.encoders.clip import CLIPTextEncoder, CLIPViTConfig
from referent.layers.convolution import conv_bn_relu
from referent.layers.decoder import Decoder
from referent.layers.losses import mask_losses
from referent.layers.presence import PresenceHead
from referent.layers.projector import Projector
from referent.models.base import Batch, Output, SegmentationModel
from referent.models.etris.bridger import Bridger
from referent.models.etris.config import ETRISConfig
from referent.models.etris.neck import Neck
from referent.models.etris.zoom import Way

# The released code trains every parameter of CLIP of this name, and no other.
_POSITIONS = "positions"


class ETRIS(SegmentationModel):
    """Two frozen encoders with Bridgers between their stages, hierarchical and global alignment, CRIS's projector.

    Which parameters of the encoders are trained follows from `config.tuning`.

    Pictures must have sides that are multiples of the image encoder's largest stride.
    """

    def __init__(self, config: ETRISConfig) -> None:
        super().__init__()
        self.config = config
        self.drifting_statistics = config.statistics == "drifting"
        self.reads_padding = bool(config.bridger.places)
        self.image_encoder = build_image_encoder(config.image)
        self.text_encoder = CLIPTextEncoder(config.text)
        encoder, state_width, width = self.image_encoder, config.text.embed, config.neck.width
        self.bridgers = nn.ModuleList(
            Bridger(
                config.bridger, encoder.widths[stage], config.text.width, *self._zoom(encoder, stage), first=number == 0
            )
            for number, (stage, _) in enumerate(config.bridger.places)
        )
        zooms = [self._zoom(encoder, stage) for stage in config.neck.stages]
        self.neck = Neck(
            config.neck,
            tuple(encoder.channels[stage] for stage in config.neck.stages),
            tuple(way for way, _ in zooms),
            tuple(ratio for _, ratio in zooms),
            state_width,
        )
        self.decoder = (
            Decoder(width, config.text.width, **config.decoder.model_dump()) if config.decoder is not None else None
        )
        self.projector = Projector(width, config.projector.hidden, config.projector.width, state_width)
        fine = config.neck.stages[0]
        self.detail = (
            nn.ModuleList(
                conv_bn_relu(encoder.channels[stage], config.projector.hidden, 1) for stage in (fine, fine - 1)
            )
            if config.projector.detail
            else None
        )
        self.presence = PresenceHead(width, state_width) if config.presence else None
        self._freeze()

    def _zoom(self, encoder: ImageEncoder, stage: int) -> tuple[Way, int]:
        """How a stage's map comes to the resolution of the neck's middle stage."""
        middle = self.config.neck.stages[1]
        if stage <= middle:
            return "shrink", encoder.strides[middle] // encoder.strides[stage]
        return "enlarge", encoder.strides[stage] // encoder.strides[middle]

    def _freeze(self) -> None:
        if self.config.tuning == "full":
            return
        for encoder in (self.image_encoder, self.text_encoder):
            for name, parameter in encoder.named_parameters():
                trained = self.config.tuning == "faithful" and name.rpartition(".")[2] == _POSITIONS
                parameter.requires_grad_(trained)

    def look_at(self, image: Tensor) -> tuple[Tensor, ...]:
        """Everything that no phrase enters: the stages up to the first Bridger, and that Bridger's view of the picture.

        Args:
            image: (B, 3, H, W) float, normalised.

        Returns:
            The neck's maps of stages before the first Bridger, with `detail` two maps, the first Bridger's view, and
            the encoder's flow at that Bridger; first dimension B.
        """
        encoder = self.image_encoder
        flow = encoder.stem(image)
        maps: list[Tensor] = []
        seen_by_all: dict[int, Tensor] = {}
        for number in range(min(self._first + 1, len(encoder.stages))):
            flow = encoder.stages[number](flow)
            seen_by_all[number] = encoder.get_map(flow)
            if number < self._first:
                self._take(number, flow, maps)
        self._tell_of_resizing(image, seen_by_all[0])
        fine = self.config.neck.stages[0]
        details = [layer(seen_by_all[fine - number]) for number, layer in enumerate(self.detail or ())]
        if not self.bridgers:
            return (*maps, *details)
        return (*maps, *details, *self.bridgers[0].look(seen_by_all[self._first]), *encoder.parts(flow))  # type: ignore[operator]

    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        """Mask logits of N references, (N, 1, H / 4, W / 4) where the neck's middle stage has stride 16.

        Words and sentence depend on the picture as soon as there is a Bridger, so nothing here can be kept from one
        picture to the next. Padding is told by id 0, as in CRIS; the Bridgers read it, the decoder does not.
        """
        rows = [batch.per_reference(part) for part in sight]
        taken = sum(stage < self._first for stage in self.config.neck.stages)
        maps, rows = rows[:taken], rows[taken:]
        detail = None
        if self.detail is not None:
            detail, rows = (rows[0], rows[1]), rows[2:]
        embedded = self.text_encoder.embed(batch.tokens)
        read = self._fuse(embedded, rows, maps) if self.bridgers else self._read(embedded)
        words, state = self.text_encoder.finish(read, batch.tokens)
        aligned = self.neck(maps, state)
        if self.decoder is not None:
            aligned = self.decoder(aligned, words, batch.tokens != 0)
        logits = self.projector(aligned, state, detail)
        presence = self.presence(aligned, state, logits) if self.presence is not None else None
        return Output(logits, presence)

    def _fuse(self, reading: Any, rows: list[Tensor], maps: list[Tensor]) -> Any:
        """Both encoders from the first Bridger on, in step.

        Args:
            reading: the text encoder's flow before its first layer.
            rows: the first Bridger's view of the picture and the image encoder's flow, one row a phrase.
            maps: gets the neck's maps of the stages from here on.

        Returns:
            The text encoder's flow after its last layer.
        """
        encoder, text, places = self.image_encoder, self.text_encoder, dict(self.config.bridger.places)
        (pixels, settled), flow = rows[:2], encoder.whole(rows[2:])
        bridgers = iter(self.bridgers)
        inside: Tensor | None = None
        done = 0
        for number in range(self._first, len(encoder.stages)):
            if number > self._first:
                flow = encoder.stages[number](flow)
            if number in places:
                bridger = next(bridgers)
                reading, done = self._read(reading, done, places[number]), places[number]
                feature_map, words = encoder.get_map(flow), text.get_words(reading)
                if number > self._first:
                    pixels, settled = bridger.look(feature_map, pixels)  # type: ignore[operator]
                feature_map, words, inside = bridger(feature_map, words, (pixels, settled), inside)
                flow, reading = encoder.put_map(flow, feature_map), text.put_words(reading, words)
            self._take(number, flow, maps)
        return self._read(reading, done)

    def _read(self, reading: Any, start: int = 0, stop: int | None = None) -> Any:
        """The text encoder's flow through its layers `start` to `stop`."""
        for layer in self.text_encoder.layers[start:stop]:
            reading = layer(reading)
        return reading

    def _take(self, number: int, flow: Any, maps: list[Tensor]) -> None:
        """Adds stage `number`'s map to what the neck gets, where it wants it."""
        encoder, stages = self.image_encoder, self.config.neck.stages
        if number in stages:
            last = number == len(encoder.stages) - 1
            feature_map = encoder.finish(flow) if last else encoder.get_map(flow)
            maps.append(self.neck.project(stages.index(number), feature_map))

    @property
    def _first(self) -> int:
        """The stage after which the first Bridger stands; one past the last where there is none."""
        places = self.config.bridger.places
        return places[0][0] if places else len(self.image_encoder.stages)

    def _tell_of_resizing(self, image: Tensor, feature_map: Tensor) -> None:
        """A ViT's positions are trained for one size, and the released code refuses every other."""
        image_config = self.config.image
        if isinstance(image_config, CLIPViTConfig) and feature_map.shape[-2:] != (image_config.grid,) * 2:
            own, found = image_config.grid, tuple(feature_map.shape[-2:])
            warnings.warn(
                f"image_encoder.stem.positions: the table of {own} x {own} patches is resized to {found[0]} x "
                f"{found[1]} for a picture of {image.shape[-2]} x {image.shape[-1]}; it was made for "
                f"{own * image_config.patch} x {own * image_config.patch}",
                stacklevel=3,
            )

    def losses(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """`text_to_pixel` (the paper's), `dice`, and `presence` where the head exists: see `layers/losses.py`."""
        return mask_losses(output.logits, output.presence, batch.target)
