"""The numbers of the evaluation of masks."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from weakseg.harness.device import Precision


class ChainRecipe(BaseModel):
    """How the steps are computed."""

    model_config = ConfigDict(frozen=True)

    batch_size: int  # images a forward pass
    precision: Precision
    tails: float  # quantile the seed map is clipped at, on both ends, before Otsu's threshold
    sigma: float  # of the centered Gaussian, as a share of the image's sides


class MaskProtocol(BaseModel):
    """How masks are scored."""

    model_config = ConfigDict(frozen=True)

    seed: int  # of the bootstrap
    square: int  # pixels, side of the protocols at square size
    protocol_batch: int  # images a batch of the protocols that average over batches
    replicates: int  # of the bootstrap over images
    tolerance: float  # of the boundary F-score, as a share of the image's diagonal
