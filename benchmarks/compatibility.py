"""Does the nnU-Net trainer work right after `pip install`, however both were installed?

    python benchmarks/compatibility.py -o build/compatibility        (make compatibility)

For each release of nnunetv2, {wheel, editable} nnunetv2 x {wheel, editable} synbt-aug: an
environment of its own, with no step but the two installs. In it `nnUNetv2_train -tr
nnUNetTrainerSynBT_1epoch` on tiny phantoms, `nnUNetv2_predict`, `synbt nnunet-export`; then the
export predicts where synbt-aug is not installed, which must give the same files; then synbt-aug is
uninstalled, which must leave no file. Prints a Markdown table; the log of each command lies in the
folder. Twelve environments take about 20 minutes on two idle cores, and 7 GB of disk.

All environments see one base environment with torch and every other dependency, so that they differ
in these two packages alone. A later run takes the base and the data as they are; delete the folder
to start anew.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from synbt_aug.data.phantom_cohort import FIRST_TEST_SEED, write_phantom_cohort
from synbt_aug.phantom import PhantomSettings
from synbt_aug_nnunet.tiny_plan import write_tiny_plan

REPOSITORY = Path(__file__).resolve().parents[1]
RELEASES = ("2.6.4", "2.7.0", "2.8.1")
KINDS = ("wheel", "editable")
TRAINER, PLANS, CONFIGURATION = "nnUNetTrainerSynBT_1epoch", "nnUNetPlansTiny", "3d_fullres"
DATASET = "Dataset901_Phantoms"
MODEL = f"{TRAINER}__{PLANS}__{CONFIGURATION}"
SHAPE = (64, 48, 40)
LIMIT_S = 1800
SMALL_MACHINE = {
    "SYNBT_NUM_ITERATIONS_PER_EPOCH": "4",
    "SYNBT_NUM_VAL_ITERATIONS_PER_EPOCH": "2",
    "SYNBT_STEPS": "3",
    "SYNBT_FIT_CASES": "0",
    "nnUNet_n_proc_DA": "1",
    "nnUNet_def_n_proc": "1",
    "OMP_NUM_THREADS": "1",
}
BUILD_TOOLS = ("setuptools>=67.8", "wheel", "hatchling>=1.25", "editables>=0.5")


class StepFailed(Exception):
    """A command failed; the message says which, and where its log lies."""


@dataclass
class Row:
    """What came out for one environment."""

    nnunetv2: str
    its_install: str
    our_install: str
    said: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def __str__(self) -> str:
        columns = [self.said.get(name, "") for name in COLUMNS]
        first = (f"nnunetv2 {self.nnunetv2}", self.its_install, self.our_install)
        return f"| {' | '.join([*first, *columns])} | {self.seconds:.0f} s |"


COLUMNS = ("install", "train", "predict", "export predicts", "uninstall")
HEAD = ("", "nnunetv2", "synbt-aug", *COLUMNS, "time")


class Environment:
    """A virtual environment over the base: what is not in it is looked for there."""

    def __init__(self, folder: Path, base: Environment | None = None) -> None:
        self.folder, self.base = folder, base
        self.bin = folder / "bin"

    def create(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        pip = [] if self.base is None else ["--without-pip"]
        run([sys.executable, "-m", "venv", *pip, self.folder], self.log("venv"))
        if self.base is not None:
            # The base's own .pth files are read only through addsitedir.
            line = f"import site; site.addsitedir({str(self.base.packages)!r})\n"
            (self.packages / "_base_environment.pth").write_text(line)

    @property
    def packages(self) -> Path:
        return next(self.folder.glob("lib/python3*/site-packages"))

    def log(self, name: str) -> Path:
        return self.folder.parent / "logs" / f"{self.folder.name}-{name}.txt"

    def pip(self, name: str, *arguments: object) -> None:
        """Run the base's pip for this environment."""
        base = self.base or self
        run([base.bin / "pip", "--python", self.bin / "python", *arguments], self.log(name))

    def install(self, name: str, what: Sequence[object]) -> None:
        self.pip(name, "install", "--no-deps", "--no-build-isolation", "--no-cache-dir", *what)

    def run(self, name: str, *command: object, **environment: object) -> None:
        """Run one of the environment's commands."""
        first, *rest = command
        run([self.bin / str(first), *rest], self.log(name), environment)


def run(command: Sequence[object], log: Path, environment: dict[str, object] | None = None) -> None:
    """Run a command, its words in `log`.

    Raises:
        StepFailed: If it fails or takes too long.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # Compiled files are written as on any machine, so that uninstalling has them to remove.
    hidden = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "SYNBT_NO_HOOK", "nnUNet_extTrainer")
    kept = {key: value for key, value in os.environ.items() if key not in hidden}
    added = {key: str(value) for key, value in (environment or {}).items()}
    words = [str(word) for word in command]
    with log.open("w") as file:
        print(*words, file=file, flush=True)
        try:
            code = subprocess.run(
                words, env={**kept, **SMALL_MACHINE, **added}, stdout=file,
                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=LIMIT_S, cwd=log.parent,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise StepFailed(f"more than {LIMIT_S} s, see {log}") from error
    if code != 0:
        last = log.read_text(errors="replace").strip().splitlines()[-1]
        raise StepFailed(f"{last[:160]} (see {log})")


def make_base(folder: Path, wheel: Path, newest: str) -> Environment:
    """Everything that the two packages need, and neither of them."""
    base = Environment(folder)
    if (folder / "ready").is_file():
        return base
    print("Making the base environment (torch and all other dependencies) ...", flush=True)
    base.create()
    base.pip("install", "install", f"{wheel}", f"nnunetv2=={newest}", *BUILD_TOOLS)
    base.pip("uninstall", "uninstall", "-y", "nnunetv2", "synbt-aug")
    (folder / "ready").touch()
    return base


def make_wheel(folder: Path) -> Path:
    """Our wheel, built from the source distribution, as a release is."""
    shutil.rmtree(folder, ignore_errors=True)
    build = [sys.executable, "-m", "build", "--outdir", folder, REPOSITORY]
    run(build, folder.parent / "logs" / "wheel.txt")
    return next(folder.glob("*.whl"))


def fetch_source(base: Environment, folder: Path, release: str) -> Path:
    """The source of an nnunetv2 release."""
    source = folder / f"nnunetv2-{release}"
    if not source.is_dir():
        what = ("--no-deps", "--no-build-isolation", "--no-binary", ":all:")
        base.pip(f"fetch-{release}", "download", *what, f"nnunetv2=={release}", "-d", folder)
        with tarfile.open(folder / f"nnunetv2-{release}.tar.gz") as archive:
            if sys.version_info >= (3, 12):
                archive.extractall(folder, filter="data")
            else:
                archive.extractall(folder)
    return source


def make_plain(work: Path, base: Environment, release: str, source: Path) -> Environment:
    """nnunetv2 alone, and the phantoms preprocessed by it."""
    plain = Environment(work / f"plain-{release}", base)
    if not (plain.folder / "ready").is_file():
        plain.create()
        plain.install("install", [source])
        prepare = ("-d", 901, "-c", CONFIGURATION, "-npfp", 1, "-np", 1)
        plain.run(
            "preprocess", "nnUNetv2_plan_and_preprocess", *prepare, **folders(work, release, "")
        )
        (plain.folder / "ready").touch()
    # The patch is the whole phantom: room for a tumor, and one position to predict.
    write_tiny_plan(work / "preprocessed" / release / DATASET, patch=SHAPE[::-1])
    return plain


def folders(work: Path, release: str, results: str) -> dict[str, object]:
    """nnU-Net's three folders."""
    return {
        "nnUNet_raw": work / "raw",
        "nnUNet_preprocessed": work / "preprocessed" / release,
        "nnUNet_results": work / "results" / results,
    }


def try_one(row: Row, work: Path, base: Environment, wheel: Path, source: Path) -> None:
    """Fill the row; stops at the first step that fails."""
    name = f"{row.nnunetv2}-{row.its_install}-{row.our_install}"
    here = Environment(work / name, base)
    plain = Environment(work / f"plain-{row.nnunetv2}", base)
    paths = folders(work, row.nnunetv2, name)
    results = work / "results" / name
    shutil.rmtree(results, ignore_errors=True)
    model = results / DATASET / MODEL
    device = ("-device", "cpu")
    workers = ("-npp", 1, "-nps", 1)

    def install() -> str:
        here.create()
        here.install("nnunetv2", [source] if row.its_install == "wheel" else ["-e", source])
        here.install("synbt-aug", [wheel] if row.our_install == "wheel" else ["-e", REPOSITORY])
        here.pip("check", "check")
        return "yes"

    def train() -> str:
        arguments = (901, CONFIGURATION, 0, "-tr", TRAINER, "-p", PLANS, *device)
        here.run("train", "nnUNetv2_train", *arguments, **paths)
        if not (model / "fold_0" / "checkpoint_final.pth").is_file():
            raise StepFailed(f"no checkpoint_final.pth in {model}")
        painted = re.findall(r"SynBT: painted (\d+) of", here.log("train").read_text())
        if not painted:
            raise StepFailed(f"the trainer says nothing of injections, see {here.log('train')}")
        return f"yes, {painted[-1]} samples painted"

    def predict() -> str:
        which = ("-d", 901, "-c", CONFIGURATION, "-tr", TRAINER, "-p", PLANS, "-f", 0)
        where = ("-i", work / "toPredict", "-o", results / "ours")
        here.run("predict", "nnUNetv2_predict", *where, *which, *device, *workers, **paths)
        return f"{len(predictions(results / 'ours'))} cases"

    def export() -> str:
        there = results / "exported" / DATASET
        here.run("export", "synbt", "nnunet-export", model, "-o", there, **paths)
        which = ("-d", 901, "-c", CONFIGURATION, "-tr", "nnUNetTrainer", "-p", PLANS, "-f", 0)
        where = ("-i", work / "toPredict", "-o", results / "plain")
        paths["nnUNet_results"] = there.parent
        plain.run(f"predict-{name}", "nnUNetv2_predict", *where, *which, *device, *workers, **paths)
        ours, theirs = predictions(results / "ours"), predictions(results / "plain")
        if not ours or ours != theirs:
            raise StepFailed(f"predictions differ between {results / 'ours'} and {results}/plain")
        return "the same"

    def uninstall() -> str:
        here.pip("uninstall", "uninstall", "-y", "synbt-aug")
        left = [p.name for p in here.folder.rglob("*") if "synbt" in p.name.lower()]
        if left:
            raise StepFailed(f"left behind: {', '.join(left)}")
        here.run("after", "python", "-c", "import nnunetv2", **paths)
        return "nothing left"

    steps = dict(zip(COLUMNS, (install, train, predict, export, uninstall), strict=True))
    for column, step in steps.items():
        try:
            row.said[column] = step()
        except StepFailed as error:
            row.said[column] = f"**no**: {error}"
            return


def predictions(folder: Path) -> dict[str, bytes]:
    """Predicted files, unpacked: gzip may note the time."""
    return {path.name: gzip.decompress(path.read_bytes()) for path in folder.glob("*.nii.gz")}


def make_data(work: Path) -> None:
    """Five phantoms to train on and two to predict, small enough for a minute of training."""
    settings = PhantomSettings(shape=SHAPE, spacing=(2.0, 2.0, 2.0))
    raw = work / "raw" / DATASET
    # Of the seeds for testing: the trainer refuses weights that have seen the validation cases.
    seeds = range(FIRST_TEST_SEED, FIRST_TEST_SEED + 5)
    write_phantom_cohort(raw, seeds, settings=settings, workers=2)
    (work / "toPredict").mkdir(exist_ok=True)
    for path in sorted((raw / "imagesTr").glob("*.nii.gz"))[:4]:
        shutil.copy(path, work / "toPredict")


def main() -> None:
    """Try every combination and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("build/compatibility"))
    parser.add_argument("--releases", nargs="+", default=RELEASES)
    parser.add_argument("--nnunet", nargs="+", choices=KINDS, default=KINDS, dest="theirs")
    parser.add_argument("--synbt", nargs="+", choices=KINDS, default=KINDS, dest="ours")
    options = parser.parse_args()
    work = options.output.resolve()
    make_data(work)
    wheel = make_wheel(work / "wheel")
    base = make_base(work / "base", wheel, newest=RELEASES[-1])
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    failed = 0
    for release in options.releases:
        problem = ""
        try:
            source = fetch_source(base, work / "sources", release)
            make_plain(work, base, release, source)
        except StepFailed as error:
            problem = f"**no**: {error}"
        for theirs, ours in itertools.product(options.theirs, options.ours):
            row = Row(release, theirs, ours)
            start = time.perf_counter()
            if problem:
                row.said["install"] = problem
            else:
                try_one(row, work, base, wheel, source)
            row.seconds = time.perf_counter() - start
            failed += any(said.startswith("**no**") for said in row.said.values())
            print(row, flush=True)
    sys.exit(min(failed, 1))


if __name__ == "__main__":
    main()
