"""Which tumors can be seen in their window, by the rule that painted ones must pass.

A generator refuses tumors that do not show. A cohort's annotations know no such rule: a comparison
with all of them counts "can be seen" as a mark of synthetic tumors.
"""

from __future__ import annotations

from synbt_aug.evaluate.realism.windows import OTHER_TUMOR, Windows, linear_of
from synbt_aug.signal.hole import tissue
from synbt_aug.tumor.visibility import measure_visibility


def showing(windows: Windows) -> list[int]:
    """Numbers of the windows whose lesion shows.

    Args:
        windows: N of them.
    """
    found = []
    for k in range(len(windows)):
        lesion = windows.lesion[k]
        if not bool(lesion.any()):
            continue
        known = tissue(windows.signal[k].float()[None])[0] & (windows.label[k] != OTHER_TUMOR)
        seen = measure_visibility(linear_of(windows, k), lesion, known)
        if seen.convinces(contrast_was_asked=False):
            found.append(k)
    return found
