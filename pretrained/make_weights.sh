#!/usr/bin/env bash
# The shipped weights from nothing: phantoms, autoencoder, denoiser, bank, weights folder.
#
#     pretrained/make_weights.sh WORK_FOLDER [AUTOENCODER_TIME] [DENOISER_TIME] [PHANTOMS]
#
# Every step resumes: run it again after an interruption. Needs `pip install synbt-aug[train]`.
set -euo pipefail
work=${1:?name a folder to work in}
autoencoder_time=${2:-45m}
denoiser_time=${3:-45m}
phantoms=${4:-260}

resume() { [ -e "$1" ] && echo --resume || true; }

synbt phantom -o "$work/cohort" -n "$phantoms"
synbt train autoencoder --data "$work/cohort" --preset shipped --max-time "$autoencoder_time" \
  -o "$work/autoencoder" $(resume "$work/autoencoder")
synbt train denoiser --data "$work/cohort" --preset shipped --max-time "$denoiser_time" \
  --autoencoder "$work/autoencoder" -o "$work/denoiser" $(resume "$work/denoiser")

echo "Weights in $work/denoiser/weights. To ship them:"
echo "  cp $work/denoiser/weights/* pretrained/synbt_aug_weights/shipped/"
echo "  python benchmarks/weights_figures.py"
