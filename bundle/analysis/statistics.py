"""Comparison of groups of animals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

__all__ = ["FEWEST", "compare_groups", "hedges_g"]

FEWEST = 3
"""Animals in each group below which nothing is tested."""

RESAMPLES = 9999


def compare_groups(features: Mapping[str, Mapping[str, Mapping[str, float]]], seed: int = 0) -> list[dict[str, Any]]:
    """Compare each two groups in each feature; the animal is the unit.

    Permutation test of the difference of means (all permutations where there are at most 9,999, else as many random
    ones), Welch's t test, and Hedges' g with the 95 % interval of a bootstrap over animals. Both p values are adjusted
    for the number of comparisons by Benjamini and Hochberg (1995).

    Args:
        features: by feature, group and animal: the animal's mean.
        seed: of permutations and bootstrap.

    Returns:
        For each feature and pair of groups: ``feature``, ``group_a``, ``group_b``, ``animals_a``, ``animals_b``,
        ``mean_a``, ``mean_b``, ``p_permutation``, ``p_welch``, ``q_permutation``, ``q_welch``, ``hedges_g``, ``g_low``,
        ``g_high``. Numbers that cannot be had are NaN, as all tests are with fewer than `FEWEST` animals in a group.
    """
    rows = []
    for feature, groups in features.items():
        for one, other in combinations(sorted(groups), 2):
            a, b = (np.array([v for v in groups[name].values() if math.isfinite(v)]) for name in (one, other))
            row = {"feature": feature, "group_a": one, "group_b": other, "animals_a": len(a), "animals_b": len(b)}
            row |= {"mean_a": _mean(a), "mean_b": _mean(b), **_tests(a, b, seed)}
            rows.append(row)
    for kind in ("permutation", "welch"):
        tested = [row for row in rows if math.isfinite(row[f"p_{kind}"])]
        adjusted = stats.false_discovery_control([row[f"p_{kind}"] for row in tested]) if tested else []
        for row in rows:
            row[f"q_{kind}"] = math.nan
        for row, value in zip(tested, adjusted, strict=True):
            row[f"q_{kind}"] = float(value)
    return rows


def hedges_g(a: NDArray[np.float64], b: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    """Difference of means, b minus a, over the pooled standard deviation, corrected for few animals (Hedges 1981).

    Args:
        a: one group along `axis`.
        b: the other.
        axis: of the animals.

    Returns:
        Without that axis; NaN where nothing varies.
    """
    n, m = a.shape[axis], b.shape[axis]
    pooled = np.sqrt(((n - 1) * a.var(axis, ddof=1) + (m - 1) * b.var(axis, ddof=1)) / (n + m - 2))
    difference = b.mean(axis) - a.mean(axis)
    correction = 1 - 3 / (4 * (n + m) - 9)
    return correction * np.divide(difference, pooled, out=np.full(np.shape(pooled), np.nan), where=pooled > 0)


def _tests(a: NDArray[np.float64], b: NDArray[np.float64], seed: int) -> dict[str, float]:
    result = dict.fromkeys(("p_permutation", "p_welch", "hedges_g", "g_low", "g_high"), math.nan)
    if min(len(a), len(b)) < FEWEST:
        return result
    rng = np.random.default_rng(seed)
    if np.ptp(np.concatenate([a, b])) == 0:
        return result
    permuted = stats.permutation_test(
        (a, b),
        lambda x, y, axis: x.mean(axis) - y.mean(axis),
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=rng,
    )
    result["p_permutation"] = float(permuted.pvalue)
    result["hedges_g"] = float(hedges_g(a, b))
    if a.std() > 0 or b.std() > 0:
        result["p_welch"] = float(stats.ttest_ind(a, b, equal_var=False).pvalue)
    draws = [rng.choice(x, (RESAMPLES, len(x))) for x in (a, b)]
    effects = hedges_g(*draws)
    effects = effects[np.isfinite(effects)]
    if len(effects):
        result["g_low"], result["g_high"] = (float(v) for v in np.quantile(effects, [0.025, 0.975]))
    return result


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else math.nan
