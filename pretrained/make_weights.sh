#!/usr/bin/env bash
# The shipped weights from nothing: phantoms, autoencoder, denoiser, bank, weights folder, tissues.
#
#     pretrained/make_weights.sh WORK_FOLDER [AUTOENCODER_TIME] [DENOISER_TIME] [PHANTOMS] [TISSUE_TIME]
#
# Every step resumes: run it again after an interruption. Needs `pip install synbt-aug[train]`.
set -euo pipefail
work=${1:?name a folder to work in}
autoencoder_time=${2:-45m}
denoiser_time=${3:-45m}
phantoms=${4:-260}
tissue_time=${5:-200m}

resume() { [ -e "$1" ] && echo --resume || true; }

synbt phantom -o "$work/cohort" -n "$phantoms"
synbt train autoencoder --data "$work/cohort" --preset shipped --max-time "$autoencoder_time" \
  -o "$work/autoencoder" $(resume "$work/autoencoder")
synbt train denoiser --data "$work/cohort" --preset shipped --max-time "$denoiser_time" \
  --autoencoder "$work/autoencoder" -o "$work/denoiser" $(resume "$work/denoiser")

synbt train tissue --max-time "$tissue_time" -o "$work/tissue" $(resume "$work/tissue/tissue.log.jsonl")
python "$(dirname "$0")/grow_bank.py" --seeds 0:300 -o "$work/first.npz"
python "$(dirname "$0")/grow_bank.py" --seeds 300:920 --varied --join "$work/first.npz" -o "$work/bank.npz"
# The manifest names each file's SHA-256, so the bank goes in through the package.
python - "$work" <<'END'
import sys
from dataclasses import replace
from synbt_aug.tumor.bank import load_bank
from synbt_aug.weights import load_weights, save_weights

folder = f"{sys.argv[1]}/denoiser/weights"
save_weights(replace(load_weights(folder), bank=load_bank(f"{sys.argv[1]}/bank.npz")), folder)
END

echo "Weights in $work/denoiser/weights. To ship them:"
echo "  cp $work/denoiser/weights/* pretrained/synbt_aug_weights/shipped/"
echo "  cp $work/tissue/tissue.{json,safetensors} pretrained/synbt_aug_weights/tissue/"
echo "  python benchmarks/weights_figures.py"
