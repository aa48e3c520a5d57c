"""The last parts of the shipped denoiser: trained on with phantoms of today, in boxes.

    synbt phantom -o COHORT -n 200
    python pretrained/tune_denoiser.py COHORT -o FOLDER --max-time 65m

From the shipped denoiser, on the shipped autoencoder's latents: rates are a third of a training's
from the start and fall from the first quarter on, and windows are boxes of several shapes, as a
tumor's are. `--resume` goes on after an interruption. The result is a folder for
`synbt_aug.train.assemble.assemble_weights`.
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

import torch

from synbt_aug.cli.console import seconds
from synbt_aug.data.cohort import load_cohort
from synbt_aug.errors import SynBTError
from synbt_aug.support.interruption import exit_code, interruptible
from synbt_aug.train.denoiser import train_denoiser
from synbt_aug.train.denoiser_presets import DenoiserPreset, WindowPool, denoiser_preset
from synbt_aug.train.files import load_autoencoder

POOLS = (
    WindowPool((64, 64, 64), share=0.42, batch=6, start=96, most=384),
    WindowPool((48, 64, 80), share=0.2, batch=6, start=48, most=192),
    WindowPool((96, 64, 80), share=0.16, batch=3, start=24, most=96),
    WindowPool((96, 96, 96), share=0.12, batch=2, start=8, most=64),
    WindowPool((96, 128, 112), share=0.1, batch=1, start=4, most=32),
)


def preset() -> DenoiserPreset:
    """The numbers of this part."""
    shipped = denoiser_preset("shipped")
    return replace(
        shipped, name="shipped-tuned", learning_rate=1.5e-4, decay_from=0.25, pools=POOLS
    )


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cohort", type=Path, help="phantoms, by `synbt phantom`")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder")
    parser.add_argument("--max-time", default="65m", help="of the steps")
    parser.add_argument("--resume", action="store_true")
    wanted = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    try:
        with interruptible():
            train_denoiser(
                load_cohort(wanted.cohort),
                load_autoencoder("shipped"),
                preset(),
                wanted.output,
                init="shipped",
                max_time_s=seconds(wanted.max_time),
                resume=wanted.resume,
            )
    except SynBTError as error:
        sys.exit(str(error))
    except KeyboardInterrupt as stop:
        sys.exit(exit_code(stop))


if __name__ == "__main__":
    main()
