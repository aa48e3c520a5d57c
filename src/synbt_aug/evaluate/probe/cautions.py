"""What a reader of a probe should know before its figures."""

from __future__ import annotations

from synbt_aug.evaluate.predictors import NnunetModel, Segmenter

#: With fewer cases the implants' common anatomy counts.
_FEW_CASES = 5


def cautions(segmenter: Segmenter, cases: int, held_out: bool) -> list[str]:
    """Sentences for the page and the screen.

    Args:
        segmenter: What was probed.
        cases: How many were used.
        held_out: Whether they are cases of a validation fold or a test split.
    """
    told = []
    if isinstance(segmenter, NnunetModel) and "SynBT" in segmenter.folder.name:
        told.append(
            "This model was trained with SynBT's own tumors: it may know their look, and find "
            "implants better than patients' tumors. Compare with --texture copy_paste or syntumor."
        )
    if not held_out:
        told.append(
            "If the segmenter was trained on these cases, it knows their healthy tissue, and marks "
            "less of it falsely than elsewhere. --fold or --split test takes others."
        )
    if cases < _FEW_CASES:
        told.append(f"{cases} case{'s' if cases > 1 else ''}: the figures are of few anatomies.")
    return told
