"""The start-up hook, in processes of its own, beside stand-ins for nnU-Net and our trainers.

The stand-ins keep the shape of the real files: 2.6 and 2.7 look up by `find_class_by_name` in the
scripts themselves, 2.8 through `find_objects`; all copy the function by `from ... import`.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HOOK = Path(__file__).parents[2] / "nnunet_trainer" / "_synbt_aug_hook.py"

LOOKUP = """
import importlib, os, pkgutil
def recursive_find_python_class(folder, class_name, current_module, *more):
    for _, name, is_package in pkgutil.iter_modules([folder]):
        module = importlib.import_module(current_module + "." + name)
        if is_package:
            deeper = os.path.join(folder, name)
            found = recursive_find_python_class(deeper, class_name, current_module + "." + name)
        else:
            found = getattr(module, class_name, None)
        if found is not None:
            return found
"""
ASK = """
import os, nnunetv2
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
def ask(name):
    folder = os.path.join(nnunetv2.__path__[0], "training", "nnUNetTrainer")
    return recursive_find_python_class(folder, name, "nnunetv2.training.nnUNetTrainer")
"""
FILES = {
    "nnunetv2/__init__.py": "",
    "nnunetv2/utilities/__init__.py": "",
    "nnunetv2/utilities/find_class_by_name.py": LOOKUP,
    "nnunetv2/utilities/find_objects.py": ASK,
    "nnunetv2/run/__init__.py": "",
    "nnunetv2/run/run_training_2_6.py": ASK,
    "nnunetv2/run/run_training_2_8.py": "from nnunetv2.utilities.find_objects import ask",
    "nnunetv2/training/__init__.py": "",
    "nnunetv2/training/nnUNetTrainer/__init__.py": "",
    "nnunetv2/training/nnUNetTrainer/nnUNetTrainer.py": "class nnUNetTrainer: pass",
    "nnunetv2/training/nnUNetTrainer/variants/__init__.py": "",
    "nnunetv2/training/nnUNetTrainer/variants/mine.py": (
        "from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer\n"
        "class nnUNetTrainerMine(nnUNetTrainer): pass\n"
        "class nnUNetTrainerSynBT_mine(nnUNetTrainer): pass\n"
        "class nnUNetTrainerSynBT(nnUNetTrainer): pass\n"
    ),
    "synbt_aug_nnunet/__init__.py": "",
    "synbt_aug_nnunet/trainers.py": (
        "from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer\n"
        "class nnUNetTrainerSynBT(nnUNetTrainer): pass\n"
        "class nnUNetTrainerSynBT_1epoch(nnUNetTrainerSynBT): pass\n"
    ),
}
INSTALL = "import _synbt_aug_hook; _synbt_aug_hook.install()\n"
SCRIPTS = ("run_training_2_6", "run_training_2_8")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with the stand-ins and the hook."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / HOOK.name).write_text(HOOK.read_text())
    return tmp_path


def python(site: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` with this folder and the standard library alone: no start-up file is read."""
    command = [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(site)!r})\n{code}"]
    kept = {k: v for k, v in os.environ.items() if k not in ("SYNBT_NO_HOOK", "PYTHONPATH")}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**kept, **environment}
    )


def where(site: Path, name: str, script: str, before: str = INSTALL, **environment: str) -> str:
    """The module in which `script` finds the trainer; "None" if it finds none."""
    code = f"{before}from nnunetv2.run.{script} import ask\nfound = ask({name!r})\n"
    done = python(site, code + "print(getattr(found, '__module__', None))", **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("script", SCRIPTS)
def test_our_trainers_are_found_in_our_package(site: Path, script: str) -> None:
    for name in ("nnUNetTrainerSynBT", "nnUNetTrainerSynBT_1epoch"):
        assert where(site, name, script) == "synbt_aug_nnunet.trainers"


@pytest.mark.parametrize("script", SCRIPTS)
def test_they_are_found_where_nnunet_was_imported_first(site: Path, script: str) -> None:
    before = f"import nnunetv2.run.{script}\n{INSTALL}"
    for name in ("nnUNetTrainerSynBT", "nnUNetTrainerSynBT_1epoch"):
        assert where(site, name, script, before) == "synbt_aug_nnunet.trainers"


@pytest.mark.parametrize("script", SCRIPTS)
def test_other_names_are_left_to_nnunet(site: Path, script: str) -> None:
    package = "nnunetv2.training.nnUNetTrainer"
    assert where(site, "nnUNetTrainer", script) == f"{package}.nnUNetTrainer"
    assert where(site, "nnUNetTrainerMine", script) == f"{package}.variants.mine"
    # Ours by prefix, a user's by definition.
    assert where(site, "nnUNetTrainerSynBT_mine", script) == f"{package}.variants.mine"
    assert where(site, "nnUNetTrainerSynBT_nobody", script) == "None"


def test_names_that_are_not_ours_do_not_import_our_package(site: Path) -> None:
    code = f"{INSTALL}from nnunetv2.run.run_training_2_6 import ask\nask('nnUNetTrainerMine')\n"
    done = python(site, code + "print('synbt_aug_nnunet' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr


def test_it_can_be_switched_off(site: Path) -> None:
    name = "nnUNetTrainerSynBT_1epoch"
    assert where(site, name, "run_training_2_6", SYNBT_NO_HOOK="1") == "None"
    code = f"before = list(sys.meta_path)\n{INSTALL}print(sys.meta_path == before)"
    assert python(site, code, SYNBT_NO_HOOK="1").stdout.strip() == "True"
    assert python(site, code, SYNBT_NO_HOOK="0").stdout.strip() == "False"


def test_without_nnunet_nothing_happens(site: Path) -> None:
    (site / "nnunetv2").rename(site / "gone")
    code = f"{INSTALL}import json\ntry: import nnunetv2\nexcept ModuleNotFoundError as error: "
    done = python(site, code + "print(error)")
    assert done.stdout.strip() == "No module named 'nnunetv2'", done.stderr


def test_an_nnunet_without_the_lookup_module_fails_as_it_would(site: Path) -> None:
    (site / "nnunetv2/utilities/find_class_by_name.py").unlink()
    done = python(site, f"{INSTALL}import nnunetv2.run.run_training_2_6")
    expected = "ModuleNotFoundError: No module named 'nnunetv2.utilities.find_class_by_name'"
    assert done.stderr.strip().endswith(expected)


def test_an_nnunet_whose_lookup_has_another_name_still_works(site: Path) -> None:
    (site / "nnunetv2/utilities/find_class_by_name.py").write_text("find_it = 1")
    code = f"{INSTALL}from nnunetv2.utilities.find_class_by_name import find_it; print(find_it)"
    assert python(site, code).stdout.strip() == "1"


def test_a_trainer_that_cannot_be_imported_shows_why(site: Path) -> None:
    (site / "synbt_aug_nnunet/trainers.py").write_text("import a_package_that_is_not_here")
    code = f"{INSTALL}from nnunetv2.run.run_training_2_8 import ask\nask('nnUNetTrainerSynBT')"
    done = python(site, code)
    assert done.returncode == 1
    assert "No module named 'a_package_that_is_not_here'" in done.stderr.splitlines()[-1]
    assert "nnUNetTrainerSynBT belongs to synbt-aug, but" in done.stderr.splitlines()[-1]


def test_the_lookup_module_looks_as_if_nothing_had_happened(site: Path) -> None:
    code = f"{INSTALL}import nnunetv2.utilities.find_class_by_name as module, inspect\n"
    shown = "print(type(module.__loader__).__name__, module.__spec__.loader is module.__loader__)\n"
    watching = "print(any(type(f).__name__ == '_WaitForNnunet' for f in sys.meta_path))"
    done = python(site, code + shown + watching)
    assert done.stdout.split() == ["SourceFileLoader", "True", "False"], done.stderr


def test_installing_twice_wraps_once(site: Path) -> None:
    code = INSTALL + INSTALL + "print(len([f for f in sys.meta_path if 'Wait' in repr(f)]))\n"
    again = f"import nnunetv2.run.run_training_2_6 as run\n{INSTALL}{INSTALL}"
    wrapped = "original = run.recursive_find_python_class.synbt_aug_wraps\n"
    done = python(site, code + again + wrapped + "print(hasattr(original, 'synbt_aug_wraps'))")
    assert done.stdout.split() == ["1", "False"], done.stderr


def test_the_hook_imports_nothing_but_sys(site: Path) -> None:
    code = "import os\nbefore = set(sys.modules)\n" + INSTALL
    done = python(site, code + "print(*sorted(set(sys.modules) - before))")
    assert done.stdout.split() == ["_synbt_aug_hook"], done.stderr


def test_a_start_costs_less_than_a_millisecond(site: Path) -> None:
    # Compiled beforehand, as pip does when it installs.
    subprocess.run([sys.executable, "-m", "py_compile", site / HOOK.name], check=True)
    costs = []
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-S", "-X", "importtime", "-c", INSTALL],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(site)},
        )  # fmt: skip
        found = re.search(r"(\d+) \|\s+_synbt_aug_hook$", done.stderr, re.MULTILINE)
        assert found, done.stderr
        costs.append(int(found.group(1)))
    assert min(costs) < 1000, f"{costs} microseconds"


def test_the_startup_files_are_installed_and_call_this_hook() -> None:
    """Also tells a development install to be renewed: start-up files are copied, not linked."""
    try:
        files = importlib.metadata.files("synbt-aug") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("synbt-aug runs from its source folder, without having been installed")
    installed = {str(file): file.locate() for file in files}
    for name in ("_synbt_aug_hook.py", "synbt-aug.pth", "synbt-aug.start"):
        assert name in installed, f"{name} is not installed: pip install -e ."
        text = Path(str(installed[name])).read_text()
        assert text == (HOOK.parent / name).read_text(), f"{name} is an old one: pip install -e ."
    assert (HOOK.parent / "synbt-aug.pth").read_text() == INSTALL
    assert (HOOK.parent / "synbt-aug.start").read_text() == "_synbt_aug_hook:install\n"


def test_a_broken_hook_does_not_keep_python_from_starting(site: Path) -> None:
    (site / "synbt-aug.pth").write_text(INSTALL)
    (site / HOOK.name).write_text("raise RuntimeError('broken')")
    done = python(site, f"import site; site.addsitedir({str(site)!r}); print('started')")
    assert done.returncode == 0 and done.stdout.strip() == "started"
