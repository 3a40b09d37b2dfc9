"""The order in which ETRIS computes, whatever its parts are made of: those of the model, or of its inference form."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor

from referent.encoders.base import ImageEncoder
from referent.encoders.clip import CLIPTextEncoder
from referent.encoders.clip_config import CLIPViTConfig
from referent.models.base import Batch, Output, SegmentationModel
from referent.models.etris.config import ETRISConfig


class Steps(SegmentationModel):
    """Two encoders in step with Bridgers between their stages, then neck, decoder and projector.

    Attributes:
        config: which encoders, where the Bridgers stand.
        image_encoder, text_encoder, bridgers, neck, decoder, projector, detail, presence, label, boxes: the parts,
            called as those of `ETRIS` are.
    """

    config: ETRISConfig
    image_encoder: ImageEncoder
    text_encoder: CLIPTextEncoder
    bridgers: Any
    neck: Any
    decoder: Any
    projector: Any
    detail: Any
    presence: Any
    label: Any
    boxes: Any

    def look_at(self, image: Tensor) -> tuple[Tensor, ...]:
        """Everything that no phrase enters: the stages up to the first Bridger, and that Bridger's view of the picture.

        Args:
            image: (B, 3, H, W) float, normalised.

        Returns:
            The neck's maps of stages before the first Bridger, with `boxes` the same before the neck's projection, with
            `detail` the projector's two, the first Bridger's view, and the encoder's flow at that Bridger; first
            dimension B.
        """
        encoder = self.image_encoder
        flow = encoder.stem(image)
        maps: list[Tensor] = []
        levels: list[Tensor] = []
        seen_by_all: dict[int, Tensor] = {}
        for number in range(min(self._first + 1, len(encoder.stages))):
            flow = encoder.stages[number](flow)
            seen_by_all[number] = encoder.get_map(flow)
            if number < self._first:
                self._take(number, flow, maps, levels)
        self._tell_of_resizing(image, seen_by_all[0])
        fine = self.config.neck.stages[0]
        details: list[Tensor] = []
        if self.detail is not None:
            finest = self.detail[1](seen_by_all[fine - 1])
            details = [self.detail[0](seen_by_all[fine]), self.projector.share(finest)]
        if not self.config.bridger.places:
            return (*maps, *details)
        return (*maps, *levels, *details, *self.bridgers[0].look(seen_by_all[self._first]), *encoder.parts(flow))

    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        """Mask logits of N references, (N, 1, H / 4, W / 4) where the neck's middle stage has stride 16.

        Words and sentence depend on the picture as soon as there is a Bridger, so nothing here can be kept from one
        picture to the next. Padding is told by id 0, as in CRIS; the Bridgers read it, the decoder does not.
        """
        rows = [batch.per_reference(part) for part in sight]
        return self._answered(rows, self._read_alone(batch.tokens), batch.tokens)

    def _read_alone(self, tokens: Tensor) -> Any:
        """What no picture enters: the text encoder's flow up to the first Bridger."""
        return self._read(self.text_encoder.embed(tokens), 0, self._alone)

    def _answered(self, rows: list[Tensor], reading: Any, tokens: Tensor) -> Output:
        """Mask logits, given what `look_at` and `_read_alone` returned, one row a phrase."""
        taken = sum(stage < self._first for stage in self.config.neck.stages)
        maps, rows = rows[:taken], rows[taken:]
        levels: list[Tensor] = []
        if self.boxes is not None:
            levels, rows = rows[:taken], rows[taken:]
        detail = None
        if self.detail is not None:
            detail, rows = (rows[0], rows[1]), rows[2:]
        read = self._fuse(reading, rows, maps, levels) if self.config.bridger.places else reading
        words, state = self.text_encoder.finish(read, tokens)
        aligned = self.neck(maps, state)
        if self.decoder is not None:
            aligned = self.decoder(aligned, words, tokens != 0)
        logits = self.projector(aligned, state, detail)
        presence = self.presence(aligned, state, logits) if self.presence is not None else None
        label = self.label(aligned, state) if self.label is not None else None
        boxes = self.boxes(levels, state) if self.boxes is not None else None
        return Output(logits, presence, label=label, boxes=boxes)

    def _fuse(self, reading: Any, rows: list[Tensor], maps: list[Tensor], levels: list[Tensor]) -> Any:
        """Both encoders from the first Bridger on, in step.

        Args:
            reading: the text encoder's flow at the first Bridger.
            rows: the first Bridger's view of the picture and the image encoder's flow, one row a phrase.
            maps: gets the neck's maps of the stages from here on.
            levels: gets the same maps before the neck's projection, where there are boxes.

        Returns:
            The text encoder's flow after its last layer.
        """
        encoder, text, places = self.image_encoder, self.text_encoder, dict(self.config.bridger.places)
        (pixels, settled), flow = rows[:2], encoder.whole(rows[2:])
        bridgers = iter(self.bridgers)
        inside: Tensor | None = None
        done = self._alone
        for number in range(self._first, len(encoder.stages)):
            if number > self._first:
                flow = encoder.stages[number](flow)
            if number in places:
                bridger = next(bridgers)
                reading, done = self._read(reading, done, places[number]), places[number]
                feature_map, words = encoder.get_map(flow), text.get_words(reading)
                if number > self._first:
                    pixels, settled = bridger.look(feature_map, pixels)
                feature_map, words, inside = bridger(feature_map, words, (pixels, settled), inside)
                flow, reading = encoder.put_map(flow, feature_map), text.put_words(reading, words)
            self._take(number, flow, maps, levels)
        return self._read(reading, done)

    def _read(self, reading: Any, start: int, stop: int | None = None) -> Any:
        """The text encoder's flow through its layers `start` to `stop`."""
        for layer in self.text_encoder.layers[start:stop]:
            reading = layer(reading)
        return reading

    def _take(self, number: int, flow: Any, maps: list[Tensor], levels: list[Tensor]) -> None:
        """Adds stage `number`'s map to what the neck gets, where it wants it, and to what the pyramid gets, if there is
        one, as it is."""
        encoder, stages = self.image_encoder, self.config.neck.stages
        if number in stages:
            last = number == len(encoder.stages) - 1
            feature_map = encoder.finish(flow) if last else encoder.get_map(flow)
            maps.append(self.neck.project(stages.index(number), feature_map))
            if self.boxes is not None:
                levels.append(feature_map)

    @property
    def _first(self) -> int:
        """The stage after which the first Bridger stands; one past the last where there is none."""
        places = self.config.bridger.places
        return places[0][0] if places else len(self.image_encoder.stages)

    @property
    def _alone(self) -> int:
        """Layers of the text encoder before the first Bridger; all where there is none."""
        places = self.config.bridger.places
        return places[0][1] if places else self.config.text.layers

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
