"""Several sets of weights on the same data, side by side."""

from __future__ import annotations

from collections.abc import Mapping

from synbt_aug.evaluate.fit_verdict import Fit
from synbt_aug.evaluate.limits import GOOD, VERDICTS


def fit_rows(fits: Mapping[str, Fit]) -> list[tuple[str, ...]]:
    """A row a figure, a column a set of weights; the first row holds the names.

    Args:
        fits: Name of the weights, as the user knows them -> what was found.
    """
    rows = [("", *fits), ("verdict", *(fit.verdict for fit in fits.values()))]
    found = [{finding.what: finding for finding in fit.findings} for fit in fits.values()]
    # A dictionary keeps the order, and each name once.
    for what in dict.fromkeys(name for findings in found for name in findings):
        cells = []
        for findings in found:
            finding = findings.get(what)
            if finding is None:
                cells.append("-")
            else:
                doubt = "" if finding.verdict == GOOD else f" ({finding.verdict})"
                cells.append(finding.figure + doubt)
        rows.append((what, *cells))
    return rows


def which_fits_best(fits: Mapping[str, Fit]) -> str:
    """One sentence: by verdict, then by the number of good figures.

    Args:
        fits: At least two.
    """

    def rank(fit: Fit) -> tuple[int, int]:
        good = sum(finding.verdict == GOOD for finding in fit.findings)
        return -VERDICTS.index(fit.verdict), good

    ranks = {name: rank(fit) for name, fit in fits.items()}
    best = max(ranks.values())
    ahead = [name for name, one in ranks.items() if one == best]
    if len(ahead) == len(fits):
        return "By these figures, none of them fits better than another."
    verdict = fits[ahead[0]].verdict
    return f"{' and '.join(ahead)} fit{'s' * (len(ahead) == 1)} best: {verdict}."
