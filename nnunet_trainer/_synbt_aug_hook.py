"""Lets `nnUNetv2_train -tr nnUNetTrainerSynBT` find a trainer outside nnU-Net's folder.

nnU-Net looks for trainers in its own folder alone and has no entry points. Python runs `install`
at every start (synbt-aug.pth; synbt-aug.start from Python 3.15). It only waits for nnU-Net's lookup
module: once nnU-Net imports it, names that begin with `nnUNetTrainerSynBT` are looked for in
`synbt_aug_nnunet.trainers`, everything else is left to nnU-Net. No file of nnU-Net is changed, and
without nnU-Net nothing happens. `SYNBT_NO_HOOK=1` switches it off.

This file lies at the root of site-packages and runs in every Python process there, hence the bare
imports.
"""

import sys

# nnunetv2 2.6 to 2.8 look up trainers through this one function, for training and prediction.
LOOKUP_MODULE = "nnunetv2.utilities.find_class_by_name"
LOOKUP = "recursive_find_python_class"
OUR_MODULE = "synbt_aug_nnunet.trainers"
OUR_PREFIX = "nnUNetTrainerSynBT"


def install():
    """Watch for nnU-Net's lookup module; never raises, and a second call changes nothing."""
    import os  # loaded by every start already

    if os.environ.get("SYNBT_NO_HOOK", "0") not in ("", "0"):
        return
    if LOOKUP_MODULE in sys.modules:
        _wrap_lookup(sys.modules[LOOKUP_MODULE])
    elif not any(isinstance(finder, _WaitForNnunet) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WaitForNnunet())


class _WaitForNnunet:
    """Finds nothing by itself; has the lookup module wrapped once the others' loader ran it."""

    def find_spec(self, name, path=None, target=None):
        if name != LOOKUP_MODULE:
            return None
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    spec.loader = _ThenWrap(spec.loader, self)
                    return spec
        return None


class _ThenWrap:
    """The real loader, and the wrapping after it."""

    def __init__(self, loader, finder):
        self.loader, self.finder = loader, finder

    def __getattr__(self, name):
        return getattr(self.loader, name)

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        if self.finder in sys.meta_path:
            sys.meta_path.remove(self.finder)
        _wrap_lookup(module)


def _wrap_lookup(module):
    original = getattr(module, LOOKUP, None)
    if original is None or hasattr(original, "synbt_aug_wraps"):
        return

    def recursive_find_python_class(folder, class_name, *args, **kwargs):
        if isinstance(class_name, str) and class_name.startswith(OUR_PREFIX):
            # A class of the same name in nnU-Net's folder loses: a trainer's name is written into
            # checkpoints and result folders, so it means the same wherever synbt-aug is installed.
            # Whoever wants a variant gives it a name of its own; nnU-Net finds that one below.
            ours = getattr(_our_trainers(class_name), class_name, None)
            if ours is not None:
                return ours
        return original(folder, class_name, *args, **kwargs)

    recursive_find_python_class.synbt_aug_wraps = original
    # `from ... import recursive_find_python_class` has copied the name where nnU-Net came first.
    for name, other in list(sys.modules.items()):
        if name.startswith("nnunetv2") and getattr(other, LOOKUP, None) is original:
            setattr(other, LOOKUP, recursive_find_python_class)


def _our_trainers(class_name):
    import importlib

    try:
        return importlib.import_module(OUR_MODULE)
    except Exception as error:
        # nnU-Net would only say that there is no such trainer.
        raise ImportError(
            f"{class_name} belongs to synbt-aug, but {OUR_MODULE} cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error
