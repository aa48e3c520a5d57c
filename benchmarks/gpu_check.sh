#!/usr/bin/env bash
# What a GPU shows of synbt-aug, as one page: its tests, the speed of a tumor, nnU-Net's iterations.
#
#   benchmarks/gpu_check.sh [-w WHEELS] [-o PAGE.md]   under 8 minutes on a machine with a GPU
#   benchmarks/gpu_check.sh --dry-run [-o PAGE.md]     the same on a CPU, as little as possible
#   benchmarks/gpu_check.sh --wheels WHEELS            where there is a network: fetch what is needed
#
# The machine needs Python 3.10 or newer with torch, and no network: WHEELS is a folder that was filled
# by --wheels with the same Python and platform; leave -w out where all is installed. Nothing but a
# temporary folder and PAGE.md is written. A part that fails or takes too long is told on the page.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
wheels="" page=gpu-check.md dry=false fetch=""
while [ $# -gt 0 ]; do
  case $1 in
    -w) wheels=$2; shift 2 ;;
    -o) page=$2; shift 2 ;;
    --dry-run) dry=true; shift ;;
    --wheels) fetch=$2; shift 2 ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
done

# What the package and its tests import, as pyproject.toml says, without torch: that is there.
needed() {
  "$python" - "$root/pyproject.toml" <<'END'
import re, sys
text = open(sys.argv[1], encoding="utf-8").read()
def lists(name):
    found = re.search(rf"^{name} = \[(.*?)\]$", text, re.S | re.M).group(1)
    return re.findall(r'"([^"]+)"', re.sub(r"#.*", "", found))
every = lists("dependencies") + lists("nnunet") + lists("torchio") + ["pytest>=8", "hypothesis>=6.100"]
print("\n".join(one for one in every if not one.startswith("torch>")))
END
}

if [ -n "$fetch" ]; then
  mkdir -p "$fetch"
  needed > "$fetch/requirements.txt"
  # torch itself is on the machine, in whatever build fits its GPU: it is not carried.
  "$python" -m pip download -q -d "$fetch" -r "$fetch/requirements.txt"
  rm -f "$fetch"/torch-[0-9]* "$fetch"/nvidia_* "$fetch"/triton-* "$fetch"/cuda_*
  echo "$(find "$fetch" -name '*.whl' | wc -l) wheels, $(du -sh "$fetch" | cut -f1) in $fetch"
  exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -n "$wheels" ]; then
  "$python" -m venv --system-site-packages "$work/venv"
  python=$work/venv/bin/python
  # Whatever asks for torch finds the machine's own: nothing of it is replaced.
  "$python" -m pip install -q --no-index --find-links "$wheels" -r "$wheels/requirements.txt"
fi
export PYTHONPATH=$root/src:$root/nnunet_trainer:$root/torchio_transform:$root/monai_transform:$root/pretrained
export PYTHONDONTWRITEBYTECODE=1 PATH=$(dirname "$(command -v "$python")"):$PATH

device=cuda tests=80 speed=120 overhead=230
tiny=() iterations=(--iterations 15 --warm-up 3 --repeats 3 --cases 3) rounds=()
if $dry; then
  device=cpu tests=600 speed=1200 overhead=1200
  export SYNBT_GPU_TESTS_ON=cpu
  tiny=(--tiny) iterations=(--iterations 2 --warm-up 1 --repeats 1 --workers 2 --cases 3) rounds=(--rounds 1)
fi

# One part of the page: its title, its limit in seconds, the command. What it prints is the text.
part() {
  local title=$1 limit=$2 start=$SECONDS state=0
  shift 2
  timeout "$limit" "$@" > "$work/part.txt" 2> "$work/errors.txt" || state=$?
  {
    echo; echo "## $title"; echo
    # Headings of a part go one level down.
    sed 's/^#/##/' "$work/part.txt"
    echo
    if [ $state -eq 124 ]; then echo "Stopped after $limit s."; fi
    if [ $state -ne 0 ]; then echo; echo '```'; tail -n 15 "$work/errors.txt"; echo '```'; fi
    echo "Exit code $state after $((SECONDS - start)) s."
  } >> "$work/page.md"
  echo "$title: exit code $state after $((SECONDS - start)) s" >&2
}

{
  echo "# A look at synbt-aug on ${device/cuda/a GPU}"
  echo
  echo "Written by \`benchmarks/gpu_check.sh$($dry && echo ' --dry-run')\` at commit $(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)."
  echo
  "$python" - "$device" <<'END'
import os, platform, sys, torch
if sys.argv[1] == "cuda":
    if not torch.cuda.is_available():
        sys.exit("torch finds no GPU here; --dry-run looks at the CPU")
    print(f"{torch.cuda.get_device_name()}, compute capability "
          f"{'.'.join(map(str, torch.cuda.get_device_capability()))}, CUDA {torch.version.cuda}, ", end="")
print(f"{os.cpu_count()} processors, Python {platform.python_version()}, torch {torch.__version__}.")
END
} > "$work/page.md"
part "Tests" $tests "$python" -m pytest --rootdir "$root" -c "$root/pyproject.toml" -p no:cacheprovider -m gpu "$root/tests/test_on_gpu.py"
part "Speed" $speed "$python" "$root/benchmarks/speed.py" --quick --device $device "${rounds[@]}"
part "nnU-Net" $overhead "$python" "$root/benchmarks/nnunet_overhead.py" -o "$work/nnunet" --device $device "${tiny[@]}" "${iterations[@]}"
echo "Written in $SECONDS s." >> "$work/page.md"
cp "$work/page.md" "$page"
cat "$page"
