"""A codebook learned by exponential moving averages.

Each latent vector is replaced by the nearest of K vectors. The vectors follow the
mean of what was assigned to them; no gradient reaches them. Nothing moves unless
`update` or `initialise` is called: `train()` and `forward` leave the codebook alone,
so that a frozen codebook cannot drift.

Stock EMA quantizers start their cluster sizes at 0 and collapse (1 code of 8192 in
use after a few steps); here they start at 1, the vectors start as encoder outputs,
and codes that nobody chooses are restarted where the data is.
"""

from __future__ import annotations

import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn import functional as F

# Rows of the distance table computed at a time. Whole, it takes 2.4 GB at
# 32 x 48 x 48 latent voxels; on a CPU 64 rows (2 MB) stay in the cache.
_ROWS_CPU = 64
_ROWS_GPU = 8192

# Codes from which on a tree is faster than the table on a CPU, and the longest of them: at 8192
# codes of 8, 3072 latents take 12 ms with the building of the tree, and 46 ms by the table. Far
# from all codes the tree is slower (150 ms with leaves of this size), but there no latent lies.
_LEAST_FOR_TREE = 1024
_LONGEST_FOR_TREE = 16
_LEAF = 32

# Codes restarted at a time: more at once shakes the decoder.
_MOST_RESTARTS = 512


class Codebook(nn.Module):
    """K vectors, the search for the nearest, and how they learn.

    Args:
        size: Number of codes K; the paper uses 8192.
        dim: Length D of each; the paper uses 8.
        decay: Share of the running averages kept at an update (ours).
        commitment: Weight of the pull of the encoder towards its code (ours, as in
            van den Oord et al.).

    Attributes:
        vectors: The codes, shape `(K, D)`, float32.
        cluster_size: Running count of assignments to each code, shape `(K,)`.
        vector_sum: Running sum of the vectors assigned, shape `(K, D)`.
        initialised: Whether `initialise` was called; saved with the weights.

    Source:
        van den Oord et al., "Neural discrete representation learning", NeurIPS 2017,
        appendix A.1; Razavi et al., "VQ-VAE-2", 2019.
    """

    vectors: Tensor
    cluster_size: Tensor
    vector_sum: Tensor
    initialised: Tensor

    def __init__(
        self, size: int = 8192, dim: int = 8, *, decay: float = 0.99, commitment: float = 0.25
    ) -> None:
        super().__init__()
        self.size, self.dim = size, dim
        self.decay, self.commitment = decay, commitment
        start = torch.randn(size, dim, generator=torch.Generator().manual_seed(0))
        self.register_buffer("vectors", start)
        self.register_buffer("cluster_size", torch.ones(size))
        self.register_buffer("vector_sum", start.clone())
        self.register_buffer("initialised", torch.zeros((), dtype=torch.bool))

    def search(self, flat: Tensor) -> Tensor:
        """Find the nearest code of each vector.

        Always in float32 at least: under bfloat16 autocast 4 % of the codes came out different.
        On a CPU by a tree, elsewhere by a table of distances.

        Args:
            flat: Vectors, shape `(N, D)`.

        Returns:
            Code numbers, shape `(N,)`, int64; some code for a vector that is not finite.
        """
        with torch.no_grad(), torch.autocast(flat.device.type, enabled=False):
            flat = flat.float()
            if self._takes_tree(flat):
                tree = cKDTree(self.vectors.numpy(), _LEAF, balanced_tree=False)
                points = torch.nan_to_num(flat.detach()).numpy()
                nearest = tree.query(points, workers=torch.get_num_threads())[1]
                return torch.from_numpy(nearest).long()
            # argmin |z - e|^2 = argmin |e|^2 / 2 - z.e
            half_norms = 0.5 * self.vectors.square().sum(1)
            transposed = self.vectors.t().contiguous()
            rows = _ROWS_CPU if flat.device.type == "cpu" else _ROWS_GPU
            found = [
                torch.addmm(half_norms, part, transposed, alpha=-1).min(1).indices
                for part in flat.split(rows)
            ]
            return torch.cat(found) if found else flat.new_zeros(0, dtype=torch.long)

    def _takes_tree(self, flat: Tensor) -> bool:
        """Whether a tree finds these faster; it takes no codes of a training gone astray."""
        large = self.size >= _LEAST_FOR_TREE and self.dim <= _LONGEST_FOR_TREE
        # A subclass of Tensor, which a compiler or a profiler brings, has no NumPy array.
        plain = type(flat) is Tensor and type(self.vectors) is Tensor
        return (
            large
            and plain
            and flat.device.type == "cpu"
            and len(flat) > 0
            and bool(self.vectors.isfinite().all())
        )

    def codes(self, z: Tensor) -> Tensor:
        """Find the nearest code of each latent voxel.

        Args:
            z: Latent, shape `(B, D, d, h, w)`.

        Returns:
            Code numbers, shape `(B, d, h, w)`, int64.
        """
        return self.search(flatten(z)).view(z.shape[0], *z.shape[2:])

    def lookup(self, codes: Tensor) -> Tensor:
        """Turn code numbers `(B, d, h, w)` into their vectors `(B, D, d, h, w)`."""
        return F.embedding(codes, self.vectors).movedim(-1, 1)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantize, letting gradients straight through. Does not learn.

        Args:
            z: Latent, shape `(B, D, d, h, w)`.

        Returns:
            The quantized latent (float32, gradient of `z`), the code numbers
            `(B, d, h, w)`, and the weighted commitment loss.
        """
        z = z.float()
        codes = self.codes(z)
        quantized = self.lookup(codes)
        loss = self.commitment * F.mse_loss(z, quantized)
        return z + (quantized - z).detach(), codes, loss

    @torch.no_grad()
    def initialise(self, z: Tensor, *, generator: torch.Generator) -> None:
        """Start the codes at encoder outputs.

        Args:
            z: Latents, shape `(B, D, d, h, w)`.
            generator: CPU generator that picks them.
        """
        flat = flatten(z).float()
        picked = torch.randint(len(flat), (self.size,), generator=generator).to(flat.device)
        # A hundredth of the spread keeps codes picked twice apart.
        jitter = torch.randn(self.size, self.dim, generator=generator).to(flat.device)
        self.vectors.copy_(flat[picked] + 0.01 * flat.std() * jitter)
        _from_first_rank(self.vectors)
        self.vector_sum.copy_(self.vectors)
        self.cluster_size.fill_(1)
        self.initialised.fill_(True)

    @torch.no_grad()
    def update(
        self,
        z: Tensor,
        codes: Tensor,
        *,
        restart: bool = False,
        dead_below: float = 0.03,
        generator: torch.Generator,
    ) -> None:
        """Move the codes towards what was assigned to them.

        With torch.distributed the counts and sums of all ranks are added first.

        Args:
            z: Latent, shape `(B, D, d, h, w)`.
            codes: What `forward` returned for it, shape `(B, d, h, w)`.
            restart: Also put codes that are hardly chosen onto vectors of `z`.
            dead_below: Running count under which a code is restarted (ours).
            generator: CPU generator that picks those vectors.
        """
        flat, chosen = flatten(z).float(), codes.reshape(-1)
        counts = torch.zeros_like(self.cluster_size)
        counts.index_add_(0, chosen, torch.ones_like(chosen, dtype=counts.dtype))
        sums = torch.zeros_like(self.vector_sum).index_add_(0, chosen, flat)
        _add_up_ranks(counts)
        _add_up_ranks(sums)
        self.cluster_size.mul_(self.decay).add_(counts, alpha=1 - self.decay)
        self.vector_sum.mul_(self.decay).add_(sums, alpha=1 - self.decay)
        if restart:
            self._restart_dead(flat, dead_below, generator)
        self.vectors.copy_(self.vector_sum / self.cluster_size.clamp_min(1e-5)[:, None])

    def _restart_dead(self, flat: Tensor, dead_below: float, generator: torch.Generator) -> None:
        dead = (self.cluster_size < dead_below).nonzero()[:, 0]
        if not len(dead):
            return
        order = torch.randperm(len(dead), generator=generator)[:_MOST_RESTARTS].to(dead.device)
        dead = dead[order]
        picked = torch.randint(len(flat), (len(dead),), generator=generator).to(flat.device)
        # Half a member: a restarted code that nobody chooses dies again soon.
        self.vector_sum[dead] = 0.5 * flat[picked]
        self.cluster_size[dead] = 0.5
        _from_first_rank(self.vector_sum)
        _from_first_rank(self.cluster_size)


def flatten(z: Tensor) -> Tensor:
    """Latent `(B, D, d, h, w)` as a list of vectors `(B d h w, D)`."""
    return z.detach().movedim(1, -1).reshape(-1, z.shape[1])


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _add_up_ranks(values: Tensor) -> None:
    if _distributed():
        torch.distributed.all_reduce(values)


def _from_first_rank(values: Tensor) -> None:
    if _distributed():
        torch.distributed.broadcast(values, src=0)
