#!/usr/bin/env bash
# What a GPU shows of synbt-aug, as one page: its tests, the speed of a tumor, nnU-Net's iterations.
#
#   benchmarks/gpu_check.sh [-w WHEELS] [-o PAGE.md]   under 8 minutes on a machine with a GPU
#   benchmarks/gpu_check.sh --dry-run [-o PAGE.md]     the same on a CPU, as little as possible
#   benchmarks/gpu_check.sh --wheels WHEELS            where there is a network: fetch what is needed
#
# The machine needs Python 3.10 or newer with torch and pip, and no network: WHEELS is a folder that was
# filled by --wheels with the same version of Python and on the same platform; leave -w out where all is
# installed. PYTHON names another python3. Nothing but a temporary folder and PAGE.md is written. A part
# that fails or takes too long is told on the page, and the others run all the same.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
wheels="" page=gpu-check.md dry=false fetch=""
usage() { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2; }
while [ $# -gt 0 ]; do
  case $1 in
    -w|-o|--wheels) [ $# -gt 1 ] || usage ;;&
    -w) wheels=$2; shift 2 ;;
    -o) page=$2; shift 2 ;;
    --dry-run) dry=true; shift ;;
    --wheels) fetch=$2; shift 2 ;;
    *) usage ;;
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
  needed > "$fetch/needed.txt"
  # Every package with its version, found from metadata alone. torch, and what comes with it, is on the
  # machine in whatever build fits its GPU: it is not carried.
  "$python" -m pip install -q --dry-run --ignore-installed --report "$fetch/found.json" -r "$fetch/needed.txt"
  "$python" - "$fetch" <<'END'
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
found = json.loads((folder / "found.json").read_text())["install"]
names = [(one["metadata"]["name"], one["metadata"]["version"]) for one in found]
there = ("torch", "triton", "nvidia", "cuda")
kept = sorted(f"{n}=={v}" for n, v in names if not n.lower().startswith(there) or n.lower() == "torchio")
(folder / "requirements.txt").write_text("\n".join(kept) + "\n")
END
  # Some are published as source alone: without a network they could not be built.
  "$python" -m pip wheel -q --no-deps -w "$fetch" -r "$fetch/requirements.txt"
  echo "$(find "$fetch" -name '*.whl' | wc -l) wheels, $(du -sh "$fetch" | cut -f1) in $fetch"
  exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONPATH=$root/src:$root/nnunet_trainer:$root/torchio_transform:$root/monai_transform:$root/pretrained
export PYTHONDONTWRITEBYTECODE=1
if [ -n "$wheels" ]; then
  # An environment that finds the machine's torch behind its own packages, wherever that one lies: with
  # --system-site-packages it would not see the torch of another environment.
  "$python" -m venv --without-pip "$work/venv"
  site=$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  "$python" -m pip install -q --no-index --no-deps --find-links "$wheels" --target "$site" -r "$wheels/requirements.txt"
  "$python" -c 'import pathlib, torch; print(pathlib.Path(torch.__file__).parents[1])' > "$site/machine.pth"
  python=$work/venv/bin/python
fi
export PATH=$(dirname "$(command -v "$python")"):$PATH
# Settings of the caller would change what is measured.
for name in $(env | sed -n 's/^\(SYNBT_[A-Z_]*\)=.*/\1/p'); do unset "$name"; done

# Seconds of each part: with a minute for all around them, under 8 minutes.
device=cuda tests=80 speed=110 overhead=230
quick=(--quick --rounds 3) tiny=() iterations=(--iterations 15 --warm-up 3 --repeats 3 --cases 3)
if $dry; then
  device=cpu tests=600 speed=1200 overhead=1200
  export GPU_TESTS_ON=cpu
  quick=(--quick --rounds 1) tiny=(--tiny)
  iterations=(--iterations 2 --warm-up 1 --repeats 1 --workers 2 --cases 3)
fi

# One part of the page: its title, whether its output is "markdown" or "plain", its limit in seconds, the command.
part() {
  local title=$1 kind=$2 limit=$3 start=$SECONDS state=0
  shift 3
  timeout -k 10 "$limit" "$@" > "$work/part.txt" 2> "$work/errors.txt" || state=$?
  {
    echo; echo "## $title"; echo
    if [ $kind = plain ]; then
      echo '```'; cat "$work/part.txt"; echo '```'
    else
      # The part has its title; its further headings go one level down.
      sed -e '/^# /d' -e 's/^##/###/' "$work/part.txt"
    fi
    echo
    if [ $state -eq 124 ] || [ $state -eq 137 ]; then echo "Stopped after $limit s: what is above was done by then."; echo; fi
    if [ $state -ne 0 ] && [ -s "$work/errors.txt" ]; then
      echo '```'; tail -n 15 "$work/errors.txt" | cut -c1-300; echo '```'; echo
    fi
    echo "Exit code $state after $((SECONDS - start)) s."
  } | cat -s >> "$work/page.md"
  echo "$title: exit code $state after $((SECONDS - start)) s" >&2
}

# The page as far as it is, whatever ends this script.
keep() { [ ! -s "$work/page.md" ] || cp "$work/page.md" "$page"; rm -rf "$work"; }

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
trap keep EXIT
part "Tests" plain $tests "$python" -m pytest --rootdir "$root" -c "$root/pyproject.toml" -p no:cacheprovider -vv -rs --tb=short -m gpu "$root/tests/test_on_gpu.py"
part "Speed" markdown $speed "$python" "$root/benchmarks/speed.py" "${quick[@]}" --device $device
part "Seconds of an iteration of nnU-Net" markdown $overhead "$python" "$root/benchmarks/nnunet_overhead.py" -o "$work/nnunet" --device $device --max-time $((overhead - 15)) "${tiny[@]}" "${iterations[@]}"
echo >> "$work/page.md"
echo "Written in $SECONDS s." >> "$work/page.md"
cat "$work/page.md"
