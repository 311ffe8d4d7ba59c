"""The oracle of the CRF, exact sums, and small images for it."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter


def exact_mean_field(
    probabilities: np.ndarray,
    image: np.ndarray,
    gaussian_sxy: float,
    gaussian_compat: float,
    bilateral_sxy: float,
    bilateral_srgb: float,
    bilateral_compat: float,
    iterations: int,
) -> np.ndarray:
    """Mean field over all pairs of pixels in double precision, as the docstring of dense_crf defines it."""
    classes, width, height = probabilities.shape
    x, y = np.divmod(np.arange(width * height), height)
    distance = np.subtract.outer(x, x) ** 2.0 + np.subtract.outer(y, y) ** 2.0
    grey = 255 * image.astype(float).ravel()
    contrast = np.subtract.outer(grey, grey) ** 2
    smoothness = np.exp(-distance / (2 * gaussian_sxy**2))
    appearance = np.exp(-distance / (2 * bilateral_sxy**2) - contrast / (2 * bilateral_srgb**2))
    pairwise = sum(
        compat * kernel / np.sqrt(np.outer(kernel.sum(axis=0), kernel.sum(axis=0)))
        for compat, kernel in [(gaussian_compat, smoothness), (bilateral_compat, appearance)]
    )
    unary = -np.log(np.clip(probabilities.astype(float), 1e-5, 1).reshape(classes, -1))
    q = np.exp(-unary) / np.exp(-unary).sum(axis=0)
    for _ in range(iterations):
        # Potts: the energy of label l at pixel i is what the other labels of all pixels j cost
        energy = unary + (1 - q) @ pairwise
        q = np.exp(energy.min(axis=0) - energy)
        q /= q.sum(axis=0)
    return q.reshape(probabilities.shape)


def two_classes(foreground: np.ndarray) -> np.ndarray:
    return np.stack([1 - foreground, foreground])


def sigmoid(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def disc(rng: np.random.Generator, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Dark disc in grainy tissue; its scores are blurred and noisy."""
    x, y = np.meshgrid(np.arange(width), np.arange(height), indexing="ij")
    inside = (x - 0.45 * width) ** 2 + (y - 0.55 * height) ** 2 < (0.3 * min(width, height)) ** 2
    image = np.clip(0.7 - 0.4 * inside + rng.normal(0, 0.05, (width, height)), 0, 1)
    score = gaussian_filter(4.0 * inside - 2.0, 2) + rng.normal(0, 1, (width, height))
    return two_classes(sigmoid(score)), image[np.newaxis]


def stripes(rng: np.random.Generator, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Stripes along the width, three classes, weak scores."""
    stripe = np.broadcast_to(np.arange(height) // 5 % 3, (width, height))
    image = np.clip(0.2 + 0.3 * stripe + rng.normal(0, 0.03, (width, height)), 0, 1)
    likelihood = np.exp(1.5 * np.eye(3)[stripe].transpose(2, 0, 1) + rng.normal(0, 1, (3, width, height)))
    return likelihood / likelihood.sum(axis=0), image[np.newaxis]


def noise(rng: np.random.Generator, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores that know nothing of the image, a smooth random texture: many pixels stay undecided."""
    texture = gaussian_filter(rng.normal(size=(width, height)), 2)
    texture = (texture - texture.min()) / np.ptp(texture)
    return two_classes(sigmoid(rng.normal(0, 2, (width, height)))), texture[np.newaxis]


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    return float((first.argmax(axis=0) == second.argmax(axis=0)).mean())
