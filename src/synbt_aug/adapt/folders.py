"""Where adapted weights go, and what is kept beside them while they are made.

`NAME` appears when everything is done, and may be passed on as the data's terms allow. `NAME-run`
beside it holds checkpoints, figures and the report with pictures of patients: it stays here.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from synbt_aug.errors import SynBTError
from synbt_aug.support.files import check_output_folder
from synbt_aug.support.user_folder import is_plain_name
from synbt_aug.weights import SHIPPED, is_finished, named_weights

#: What a run's settings are kept in; a folder with it holds a run.
SETTINGS_FILE = "adapt.json"

# Twice the parameters, as float32, of: three copies a network (weights, two moments of Adam), the
# average, and the result. Twice, since a checkpoint is written beside the earlier one.
_BYTES_PER_PARAMETER = 2 * 5 * 4


@dataclass(frozen=True)
class Folders:
    """The two folders of a run.

    Args:
        weights: The weights folder.
        run: What is kept while it is made, and the report.
    """

    weights: Path
    run: Path

    @classmethod
    def of(cls, name: str) -> Folders:
        """The folders of a name in the user's folder, or of a path.

        Raises:
            SynBTError: If the name is that of the shipped weights.
        """
        if name == SHIPPED:
            raise SynBTError(f"{SHIPPED!r} names the weights of the package: choose another name.")
        path = named_weights() / name if is_plain_name(name) else Path(name)
        return cls(path, path.with_name(f"{path.name}-run"))

    @property
    def settings(self) -> Path:
        """The file with the settings of the run."""
        return self.run / SETTINGS_FILE

    @property
    def done(self) -> bool:
        """Whether the weights are there."""
        return is_finished(self.weights)

    def open(self, resume: bool, parameters: int) -> None:
        """See that a run may start, or go on, before anything is read.

        Args:
            resume: Whether it goes on.
            parameters: Of both networks; tells the space that is needed.

        Raises:
            SynBTError: If the name is taken, there is nothing to go on with, or no room.
        """
        if self.done or (self.weights.is_dir() and any(self.weights.iterdir())):
            raise SynBTError(
                f"{self.weights} is there already. Choose another name with -o, or remove it."
            )
        if self.settings.is_file() and not resume:
            raise SynBTError(
                f"{self.run} holds a run that was begun and not ended. Go on with it by --resume, "
                f"or choose another name with -o."
            )
        if resume and not self.settings.is_file():
            raise SynBTError(
                f"{self.run} holds no run to go on with. Leave --resume out to start one, or name "
                f"that run by -o."
            )
        check_output_folder(self.run)
        needed = parameters * _BYTES_PER_PARAMETER
        if (free := shutil.disk_usage(self.run).free) < needed:
            raise SynBTError(
                f"Adapting needs {needed / 1e6:.0f} MB for checkpoints and weights, and the disk "
                f"of {self.run} has {free / 1e6:.0f} MB. Make room, or name another place by -o."
            )
