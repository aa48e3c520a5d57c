"""Synthetic tumors in a TorchIO pipeline: one line of the `Compose` is ours.

Runs in under a minute on a laptop's CPU: two small phantoms, two worker processes, one epoch,
and the replay of one sample from its history.
"""

from __future__ import annotations

import torch
import torchio as tio

from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.shared_synthesizer import warm_up
from synbt_aug.torchio import SynBTTumor

SETTINGS = PhantomSettings(shape=(96, 96, 96), with_tumor=False)

TRANSFORM = tio.Compose(
    [
        tio.ToCanonical(),
        tio.RandomFlip(axes=("LR",)),
        # Before whatever bends or clips intensities; spatial transforms may stand on either side.
        SynBTTumor(p=0.75, diameter_mm=14),
        tio.RandomAffine(degrees=5),
        tio.RandomGamma(),
        tio.ZNormalization(),
    ]
)


def make_subject(seed: int) -> tio.Subject:
    """A tumor-free case: `pre` and `post`. It needs no label, the transform writes one."""
    phantom = make_phantom(seed, SETTINGS)
    pre, post = torch.from_numpy(phantom.pre), torch.from_numpy(phantom.post[0])
    return tio.Subject(
        pre=tio.ScalarImage(tensor=pre[None], affine=phantom.affine),
        post=tio.ScalarImage(tensor=post[None], affine=phantom.affine),
        seed=seed,
    )


def main() -> int:
    """One epoch; returns how many samples hold a tumor."""
    torch.set_num_threads(1)
    subjects = [make_subject(seed) for seed in (0, 1)] * 2
    # Loaded here once, the networks are shared by workers that are forked.
    warm_up()
    torch.manual_seed(0)
    dataset = tio.SubjectsDataset(subjects, transform=TRANSFORM)
    tumors = 0
    for batch in tio.SubjectsLoader(dataset, batch_size=2, num_workers=2):
        x = torch.cat([batch["pre"]["data"], batch["post"]["data"]], dim=1)
        voxels = batch["label"]["data"].flatten(1).sum(1).int().tolist()
        tumors += sum(count > 0 for count in voxels)
        print(f"images {tuple(x.shape)}, voxels of tumor {voxels}")

    sample = TRANSFORM(subjects[0])
    print(f"painted: {sample.synbt_outcome['painted']}, reason: {sample.synbt_outcome['reason']}")
    again = sample.get_composed_history()(subjects[0])
    print(f"replayed bitwise: {torch.equal(again.post.data, sample.post.data)}")
    return tumors


if __name__ == "__main__":
    main()
