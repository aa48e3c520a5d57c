"""Case ids in files that are passed on: hashes, which are compared with hashes.

Weights and banks must tell which cases they were made of, so that nobody validates on one of them.
They need not name the patients for that.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

#: Written beside every list of case keys.
PRIVACY = (
    "Cases are listed by hashes of their ids. Whoever holds an id can tell whether it is listed, "
    "and ids that follow a known pattern can be found by trying them all. Networks and tumor "
    "shapes were made from the scans of these cases: pass them on as the data's terms allow."
)

# The number is what `tumor.bank.join_banks` tells two groups of one name apart by.
_KEY = re.compile(r"sha256:[0-9a-f]{16}( \(\d+\))?")
_PHANTOM = re.compile(r"phantom_\d+")


def patient_of(name: str) -> str:
    """What names of one patient share: MAMA-MIA's vary in case, `synbt prepare` adds phases."""
    return re.sub(r"_phase\d+$", "", name.lower())


def case_key(name: str) -> str:
    """What stands for a case in files; the same for all phases of a patient.

    Args:
        name: A case's id. What is a key already comes back as it is, and so does the name of a
            phantom: it tells its seed, and is nobody's.

    Returns:
        `sha256:` and 16 hexadecimal digits.
    """
    patient = patient_of(name)
    if _KEY.fullmatch(patient) or _PHANTOM.fullmatch(patient):
        return patient
    return "sha256:" + hashlib.sha256(f"synbt-aug case {patient}".encode()).hexdigest()[:16]


def case_keys(names: Iterable[str]) -> list[str]:
    """The keys of cases, sorted, each once."""
    return sorted({case_key(name) for name in names})
