"""What nnU-Net 2.8 finds where `nnUNet_extTrainer=$(synbt nnunet-path)` points to.

nnU-Net imports this file as a module of its own and forgets it again. The classes themselves live
in our package: what is defined here could not be pickled for worker processes.
"""

from synbt_aug_nnunet.trainers import *  # noqa: F403
