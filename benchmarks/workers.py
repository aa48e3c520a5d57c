"""TorchIO loader workers over a long epoch: flat memory, no sample twice, samples a second.

    python benchmarks/workers.py [--samples 500] [--workers 2] [--start fork]

The networks are those of the `tiny` preset, untrained, and paint over healthy tissue (what they
paint would not pass for a tumor): the figures are about loading, sampling, writing and memory,
not about the networks. Memory is given twice: resident, of the largest worker, which is what must
stay flat; and proportional, of all workers together, which counts shared pages once and grows
for a while as forked workers touch what they share with the parent. The start-up is that of a
fresh process after its imports: weights and bank loaded, ready to paint, with the shipped weights
where they are there.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torchio as tio

from synbt_aug.contract import contract_of
from synbt_aug.networks import VQVAE, Denoiser
from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.torchio import SynBTTumor
from synbt_aug.train.autoencoder_presets import autoencoder_preset
from synbt_aug.train.denoiser_presets import denoiser_preset
from synbt_aug.weights import Weights, load_weights, save_weights, shipped_folder

START_UP = """
import time
import synbt_aug.torchio
from synbt_aug import InjectionSettings
from synbt_aug.shared_synthesizer import shared_synthesizer
wall, cpu = time.perf_counter(), time.process_time()
shared_synthesizer(InjectionSettings(weights={weights!r}))
print(f"{{time.perf_counter() - wall:.2f}} s ({{time.process_time() - cpu:.2f}} CPU-s)")
"""


def tiny_folder(folder: Path) -> str:
    """Untrained networks of the `tiny` preset with the shipped bank."""
    torch.manual_seed(0)
    autoencoder = VQVAE(autoencoder_preset("tiny").network)
    denoiser = Denoiser(denoiser_preset("tiny").network)
    with torch.no_grad():
        z = autoencoder.encode(torch.randn(1, 2, 32, 32, 32))
    autoencoder.codebook.initialise(z, generator=torch.Generator().manual_seed(0))
    bank = load_weights().bank
    weights = Weights("tiny", contract_of(autoencoder, denoiser), autoencoder, denoiser, bank)
    return str(save_weights(weights, folder / "tiny"))


def memory_mb(processes: list[int], kind: str) -> list[float]:
    """Either "Rss" or "Pss" of each of these processes, in MB."""
    found = []
    for process in processes:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        found += [int(line.split()[1]) / 1e3 for line in lines if line.startswith(f"{kind}:")]
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--start", choices=("fork", "spawn", "forkserver"), default="fork")
    parser.add_argument("--side", type=int, default=96, help="of the cubic phantoms, in mm")
    options = parser.parse_args()
    torch.set_num_threads(1)

    phantoms = [
        make_phantom(seed, PhantomSettings(shape=(options.side,) * 3, with_tumor=False))
        for seed in range(1_000_000, 1_000_004)
    ]
    subjects = [
        tio.Subject(
            pre=tio.ScalarImage(tensor=torch.from_numpy(p.pre)[None]),
            post=tio.ScalarImage(tensor=torch.from_numpy(p.post[0])[None]),
        )
        for p in phantoms
    ]
    with tempfile.TemporaryDirectory() as folder:
        transform = SynBTTumor(p=1, weights=tiny_folder(Path(folder)), null_paint=1.0)
        many = [subjects[k % len(subjects)] for k in range(options.samples)]
        loader = tio.SubjectsLoader(
            tio.SubjectsDataset(many, transform=transform),
            batch_size=1,
            num_workers=options.workers,
            multiprocessing_context=multiprocessing.get_context(options.start),
        )
        torch.manual_seed(0)
        seen, painted, first = set(), 0, 0.0
        plain = [image.post.data for image in subjects]
        begin = time.perf_counter()
        for number, batch in enumerate(loader):
            post = batch["post"]["data"][0]
            first = first or time.perf_counter()
            painted += not any(torch.equal(post, image) for image in plain)
            seen.add(hashlib.sha256(np.ascontiguousarray(post.numpy()).data).hexdigest())
            if number % max(1, options.samples // 10) == 0 or number == options.samples - 1:
                workers = [p.pid for p in multiprocessing.active_children() if p.pid]
                resident, shared = memory_mb(workers, "Rss"), memory_mb(workers, "Pss")
                print(
                    f"sample {number:4d}: resident {max(resident):5.0f} MB in the largest worker, "
                    f"proportional {sum(shared):5.0f} MB in all",
                    flush=True,
                )
        took = time.perf_counter() - first
    unpainted = options.samples - painted
    print(f"first sample after {first - begin:.1f} s ({options.start})")
    print(f"{(options.samples - 1) / took:.2f} samples/s with {options.workers} workers")
    print(f"{painted} of {options.samples} painted, {len(seen)} different samples", end="")
    print(f" ({unpainted} had no room and are their phantoms)" if unpainted else "")
    if (shipped_folder() / "manifest.json").is_file():
        code = START_UP.format(weights="shipped")
        print("start-up of a fresh process after import:", end=" ", flush=True)
        subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    main()
