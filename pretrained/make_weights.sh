#!/usr/bin/env bash
# The shipped weights from nothing: phantoms, bank, autoencoder, denoiser, weights folder, tissues.
#
#     pretrained/make_weights.sh WORK_FOLDER [AUTOENCODER_TIME] [DENOISER_TIME] [PHANTOMS] [TISSUE_TIME]
#
# Every step resumes: run it again after an interruption. A TISSUE_TIME of 0 trains no tissue
# segmenter. The three times are those of the training steps. Besides them: phantoms and bank, about
# 3 s a phantom and 2 s for each of the bank's 920, over all cores; reading the phantoms and encoding
# the first windows, some minutes. Needs `pip install synbt-aug[train]`. For a try of the whole:
# PRESET=tiny BANK="2 4" pretrained/make_weights.sh WORK_FOLDER 1m 1m 2 1m
set -euo pipefail
work=${1:?name a folder to work in}
autoencoder_time=${2:-45m}
denoiser_time=${3:-45m}
phantoms=${4:-260}
tissue_time=${5:-200m}
preset=${PRESET:-shipped}
read -r plain varied <<<"${BANK:-300 920}"
here=$(dirname "$0")
workers=$(python -c "import os; print(os.cpu_count())")

# FOLDER NAME: goes on where there is a checkpoint to go on from.
resume() { [ ! -e "$1/$2.checkpoint.pt" ] || echo --resume; }

mkdir -p "$work"
synbt phantom -o "$work/cohort" -n "$phantoms" --workers "$workers"
grow() { [ -e "$work/bank.npz" ] || python "$here/grow_bank.py" --workers "$workers" "$@"; }
grow --seeds "0:$plain" -o "$work/first.npz"
grow --seeds "$plain:$varied" --varied --join "$work/first.npz" -o "$work/bank.npz"

synbt train autoencoder --data "$work/cohort" --preset "$preset" --max-time "$autoencoder_time" \
  -o "$work/autoencoder" $(resume "$work/autoencoder" crops)
synbt train denoiser --data "$work/cohort" --preset "$preset" --max-time "$denoiser_time" \
  --autoencoder "$work/autoencoder" -o "$work/denoiser" $(resume "$work/denoiser" denoiser)

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
echo "  python benchmarks/weights_figures.py"

if [ "$tissue_time" != 0 ]; then
  synbt train tissue --preset "$preset" --max-time "$tissue_time" -o "$work/tissue" $(resume "$work/tissue" tissue)
  echo "Tissue segmenter in $work/tissue. To ship it:"
  echo "  cp $work/tissue/tissue.{json,safetensors} pretrained/synbt_aug_weights/tissue/"
fi
