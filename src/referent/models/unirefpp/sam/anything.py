"""SAM as UniFusion uses it: transformers' modules, asked with one vector instead of points.

Shape letters: B pictures, N references, C channels, s x s the embedding's pixels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from referent.encoders.library import transformers_library
from referent.models.unirefpp.sam.config import PATCH, SamConfig

# Of the decoder's norms in Meta's code; transformers' default is another one.
_DECODER_EPS = 1e-5
# transformers starts a SAM with zeros in all but name, from which nothing can be learnt.
_INIT_STD = 0.02


class Sam(nn.Module):
    """The three parts of a `transformers.SamModel`. Image and prompt encoder are frozen, the mask decoder learns.

    Raises:
        WeightsError: transformers is not installed.
    """

    def __init__(self, config: SamConfig) -> None:
        super().__init__()
        library = transformers_library("UniFusion inside SAM")
        whole = library.SamModel(
            library.SamConfig(
                vision_config={
                    "hidden_size": config.channels,
                    "output_channels": config.width,
                    "num_hidden_layers": config.layers,
                    "num_attention_heads": config.heads,
                    "image_size": config.side,
                    "patch_size": PATCH,
                    "initializer_range": _INIT_STD,
                    "window_size": config.window,
                    "global_attn_indexes": list(config.global_layers),
                    "num_pos_feats": config.width // 2,
                    "mlp_dim": config.feedforward,
                },
                prompt_encoder_config={
                    "hidden_size": config.width,
                    "image_size": config.side,
                    "patch_size": PATCH,
                    "mask_input_channels": config.mask_channels,
                },
                mask_decoder_config={
                    "hidden_size": config.width,
                    "mlp_dim": config.decoder_feedforward,
                    "num_hidden_layers": config.decoder_layers,
                    "num_attention_heads": config.decoder_heads,
                    "num_multimask_outputs": config.multimasks,
                    "iou_head_hidden_dim": config.width,
                    "layer_norm_eps": _DECODER_EPS,
                },
            )
        )
        self.config = config
        self.side, self.pixels = config.side, config.side // PATCH
        self.image_encoder: nn.Module = whole.vision_encoder.requires_grad_(False)
        # These two are asked for parts that torch's type does not know.
        self.prompt_encoder: Any = whole.prompt_encoder.requires_grad_(False)
        self.mask_decoder: Any = whole.mask_decoder
        # Heads that no loss reaches: those of further masks, and the guess of a mask's IoU.
        for head in (*self.mask_decoder.output_hypernetworks_mlps[1:], self.mask_decoder.iou_prediction_head):
            head.requires_grad_(False)

    def embed(self, image: Tensor) -> Tensor:
        """(B, 3, side, side), normalised -> (B, C, s, s)."""
        embedding: Tensor = self.image_encoder(image).last_hidden_state
        return embedding

    def masks(self, embedding: Tensor, prompt: Tensor) -> Tensor:
        """One mask for each prompt.

        Args:
            embedding: (N, C, s, s).
            prompt: (N, C), taken for what the prompt encoder would make of a point or a box.

        Returns:
            (N, 1, 4 s, 4 s) logits.
        """
        nothing = self.prompt_encoder.no_mask_embed.weight[:, :, None, None].expand(-1, -1, self.pixels, self.pixels)
        masks, _ = self.mask_decoder(
            image_embeddings=embedding,
            image_positional_embeddings=self._places().expand(len(embedding), -1, -1, -1),
            sparse_prompt_embeddings=prompt[:, None, None],
            dense_prompt_embeddings=nothing,
            multimask_output=False,
        )
        single: Tensor = masks[:, 0]
        return single

    def _places(self) -> Tensor:
        """(1, C, s, s) encodings of the pixels' centres."""
        table = self.prompt_encoder.shared_embedding
        centres = (torch.arange(self.pixels, device=table.positional_embedding.device) + 0.5) / self.pixels
        rows, columns = torch.meshgrid(centres, centres, indexing="ij")
        encoded: Tensor = table(torch.stack((columns, rows), dim=-1))
        return encoded.permute(2, 0, 1)[None]
