"""The command ``python -m bundle evaluate_registration``: what the registration recovers of known deformations."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label
from skimage.transform import resize_local_mean
from tqdm import tqdm

from bundle.data.phantom import PIXEL_SIZE, THICKNESS, phantom
from bundle.runs import commit, machine, run
from scripts.alignment import carry
from scripts.data.phantom import Deformation, PhantomTissue, acquire
from scripts.figures import save_picture
from scripts.io import binarize_label, find_sections, read_section, write_atomically, write_json, write_section
from scripts.metrics import jaccard
from scripts.registration import (
    FoldFinder,
    MovingLeastSquares,
    Neighbour,
    PairRegistration,
    RegistrationError,
    SIFTFeatures,
    Transformation,
    find_models,
    match_patches,
    missing_tissue,
    seed_matches,
    to_aligned,
)

__all__ = ["evaluate_registration"]

NEAR = 30
"""Pixels from a fold within which its effect is judged apart."""
BESIDE = 60
"""Pixels from the real fold within which patches of 64 pixels are judged apart."""
STEP = 4
"""Every how many pixels a recovered displacement is compared."""
PARTS = ("phantoms", "folded", "vnc", "segmentation")


def evaluate_registration(
    output: str = "docs/results",
    parts: tuple[str, ...] = PARTS,
    folded: str = "../shared/data/folded_section",
    vnc: str = "data/drosophila_vnc",
    phantoms: int = 3,
    size: int = 1536,
) -> str:
    """Measure the registration against known deformations and on real sections.

    Writes ``registration.json`` with all figures, ``registration.md`` with tables, and ``registration_folded.jpg``.
    Parts that are not asked for keep the figures of an earlier call.

    Args:
        output: folder of the results.
        parts: of ``phantoms`` (known deformations, smooth and with a fold, of the same tissue imaged again and of the
            section before; beside one affine model, plain moving least squares, and B-splines of elastix if itk-elastix
            is installed), ``folded`` (the real folded pair), ``vnc`` (a real stack, warped by known deformations, and
            as it is), and ``segmentation`` (of a misaligned stack: aligned first and carried back, or directly).
        folded: folder with ``reference.png``, ``damaged.png`` and ``damage_mask.png`` of the real pair.
        vnc: the data of ``python -m bundle data vnc``.
        phantoms: how many tissues.
        size: width and height of the phantom sections in pixels.

    Returns:
        The tables.

    Raises:
        ValueError: a part is unknown.
        FileNotFoundError: the data of a part is missing.
    """
    parts = (parts,) if isinstance(parts, str) else parts
    unknown = set(parts) - set(PARTS)
    if unknown:
        raise ValueError(f"parts have to be among {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    folder = Path(output)
    path = folder / "registration.json"
    figures = json.loads(path.read_text()) if path.exists() else {}
    measure: dict[str, Callable[[], Any]] = {
        "phantoms": lambda: _phantoms(phantoms, size),
        "folded": lambda: _folded(Path(folded), folder / "registration_folded.jpg"),
        "vnc": lambda: _vnc(Path(vnc)),
        "segmentation": _segmentation,
    }
    for part in PARTS:
        if part in parts:
            figures[part] = {"figures": measure[part](), "machine": machine(), "commit": commit()}
            write_json(path, figures)
    text = markdown(figures)
    write_atomically(folder / "registration.md", lambda target: target.write_text(text))
    return text


def _phantoms(count: int, size: int) -> list[dict[str, Any]]:
    """One row for each tissue, deformation, neighbour and method."""
    rows = []
    pad = size // 5
    inner = (slice(pad, pad + size),) * 2
    progress = tqdm(total=count * 4, desc="phantoms", unit="pair")
    for seed in range(count):
        tissue = PhantomTissue(np.random.SeedSequence(seed), (size + 2 * pad,) * 2, 2, PIXEL_SIZE, THICKNESS)
        sections = [tissue.section(index) for index in (0, 1)]
        views = [
            acquire(section[inner], np.random.default_rng([seed, 9, i])) for i, (section, _) in enumerate(sections)
        ]
        for fold in (False, True):
            deformation = Deformation.random((size, size), np.random.default_rng([seed, fold]), True, fold)
            image = acquire(deformation.apply(*sections[1])[0], np.random.default_rng([seed, 10]))
            for neighbour, fixed in (("the same section", views[1]), ("the section before", views[0])):
                for method, recovered in _methods(image, fixed, deformation.fold).items():
                    row = {"tissue": seed, "folded": fold, "neighbour": neighbour, "method": method}
                    rows.append({**row, **_errors(recovered, deformation)})
                progress.update()
    return rows


def _methods(
    image: NDArray[np.uint8], fixed: NDArray[np.uint8], fold: NDArray[np.bool_]
) -> dict[str, Callable[[NDArray], NDArray]]:
    """From positions in the section to those recovered, by method."""
    neighbour = Neighbour(fixed, missing_tissue(fixed))
    start = Transformation.affine(image.shape, np.eye(2, 3))
    features = SIFTFeatures()
    models = _affine_models(features, image, fixed, fold)
    methods: dict[str, Callable] = {}
    if models:
        methods["one affine model"] = lambda points: points @ models[0][:, :2].T + models[0][:, 2]
    displacement = _elastix(image, fixed, fold)
    if displacement is not None:
        methods["elastix, B-splines"] = lambda points: points + displacement[tuple(points.astype(int).T)]
    variants: dict[str, tuple[bool, NDArray | None]] = {"moving least squares around folds": (True, fold)}
    if fold.any():
        variants = {"plain moving least squares": (False, fold), **variants, "the same, fold not given": (True, None)}
    for name, (around, given) in variants.items():
        register = PairRegistration(features, MovingLeastSquares(around_folds=around), FoldFinder())
        try:
            methods[name] = register(image, [neighbour], start, given).transformation.forward
        except RegistrationError:
            methods[name] = lambda points: np.full(points.shape, np.nan)
    return methods


def _affine_models(
    features: SIFTFeatures, image: NDArray[np.uint8], fixed: NDArray[np.uint8], fold: NDArray[np.bool_]
) -> list[NDArray]:
    moving, other = features(image, fold), features(fixed)
    pairs = seed_matches(moving, other, 0.92)
    points, targets = moving.points[pairs[:, 0]], other.points[pairs[:, 1]]
    return find_models(points, targets, 0.015 * max(image.shape), fixed.size)[0]


def _elastix(image: NDArray[np.uint8], fixed: NDArray[np.uint8], fold: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    """Displacement (width, height, 2) by elastix' default parameters, which know the fold as a mask."""
    if importlib.util.find_spec("itk.itkElastixRegistrationMethodPython") is None:
        return None
    parameters = itk.ParameterObject.New()
    for kind in ("rigid", "affine", "bspline"):
        parameters.AddParameterMap(parameters.GetDefaultParameterMap(kind, 5))
    # the transformation leads from the first picture to the second; ITK counts x last in arrays
    first, second = (itk.image_from_array(np.ascontiguousarray(a.T).astype(np.float32)) for a in (image, fixed))
    masks = {}
    if fold.any():
        masks["fixed_mask"] = itk.image_from_array(np.ascontiguousarray(~fold.T).astype(np.uint8))
    # elastix leaves files where it runs
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        try:
            _, transform = itk.elastix_registration_method(
                first, second, parameter_object=parameters, log_to_console=False, **masks
            )
            field = itk.transformix_deformation_field(first, transform, log_to_console=False)
        except RuntimeError:
            return None
    return np.asarray(itk.array_from_image(field)).swapaxes(0, 1)


def _sampled(deformation: Deformation) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Every `STEP`-th pixel, (n, 2), and where it truly lies."""
    axes = (np.arange(0, n, STEP) for n in deformation.fold.shape)
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    return grid, grid + deformation.displacement[:, *grid.T].T


def _errors(recovered: Callable[[NDArray], NDArray], deformation: Deformation) -> dict[str, float | None]:
    """Medians of the distance between recovered and true positions."""
    grid, truth = _sampled(deformation)
    at = tuple(grid.T)
    tissue = ~deformation.fold[at]
    error = np.linalg.norm(recovered(grid.astype(np.float64)) - truth, axis=1)
    near = distance_transform_edt(~deformation.fold)[at] < NEAR if deformation.fold.any() else np.zeros(len(grid), bool)
    result = {"far": _median(error[tissue & ~near]), "near": _median(error[tissue & near])}
    return {**result, "without": float(np.isnan(error[tissue]).mean())}


def _median(values: NDArray) -> float | None:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else None


def _folded(folder: Path, picture: Path) -> dict[str, Any]:
    """What is left over on the two sides of the real fold."""
    reference, damaged = (read_section(folder / f"{name}.png") for name in ("reference", "damaged"))
    given = read_section(folder / "damage_mask.png") > 127
    parts, _ = label(~given)
    largest = np.argsort(-np.bincount(parts.ravel())[1:])[:2] + 1
    sides = {f"side {i + 1}": parts == number for i, number in enumerate(largest)}
    unknown = missing_tissue(reference)
    figures: dict[str, Any] = {}

    from_fold = distance_transform_edt(~given)

    def left_over(transformation: Transformation, radius: int) -> dict[str, dict[str, float]]:
        result = {}
        for side, inside in sides.items():
            hidden = ~inside | missing_tissue(damaged)
            # patches of another size and at other places than those that are fitted
            found = match_patches(damaged, hidden, reference, unknown, transformation, 64, radius, 29.0)
            offset = np.linalg.norm(found.targets - found.expected, axis=1)
            near = from_fold[tuple(np.rint(found.points).astype(int).T)] < BESIDE
            result[side] = {
                "left over": _median(offset),
                "beside the fold": _median(offset[near]),
                "correlation": _median(found.unmoved),
                "patches": len(found),
            }
        return result

    models = _affine_models(SIFTFeatures(), damaged, reference, given)
    for number, model in enumerate(models[:2]):
        affine = Transformation.affine(damaged.shape, model)
        figures[f"affine model {number + 1} alone"] = left_over(affine, 220)
    neighbour, start = Neighbour(reference, unknown), Transformation.affine(damaged.shape, np.eye(2, 3))
    for name, around, fold in (
        ("plain moving least squares", False, given),
        ("moving least squares around folds", True, given),
        ("the same, fold not given", True, None),
    ):
        register = PairRegistration(SIFTFeatures(), MovingLeastSquares(around_folds=around), FoldFinder())
        result = register(damaged, [neighbour], start, fold).transformation
        figures[name] = left_over(result, 40)
        if fold is None:
            found = np.zeros(given.shape, bool) if result.fold is None else result.fold
            figures["fold found"] = {"jaccard": _jaccard(found, given)}
        elif around:
            aligned, _ = to_aligned(damaged, result, reference.shape)
            before = np.stack([damaged, reference, reference], axis=-1)
            after = np.stack([aligned, reference, reference], axis=-1)
            gap = np.full((8, reference.shape[1], 3), 255, np.uint8)
            panel = np.concatenate([before, gap, after])
            half = tuple(n // 2 for n in panel.shape[:2])
            smaller = resize_local_mean(panel, half, preserve_range=True, channel_axis=-1)
            save_picture(smaller.round().astype(np.uint8), picture)
    return figures


def _jaccard(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return jaccard(*(int(np.count_nonzero(kind)) for kind in (found & truth, truth & ~found, found & ~truth)))


def _vnc(folder: Path) -> dict[str, Any]:
    """The real stack as it is, and with each section but the reference warped by a known deformation."""
    sections = find_sections(folder / "stack1" / "raw")
    middle = len(sections) // 2
    figures: dict[str, Any] = {"sections": len(sections)}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        deformations = {}
        for index, section in enumerate(sections):
            pixels = read_section(section["image"], section["page"])
            deformation = Deformation.random(pixels.shape, np.random.default_rng(index), index != middle, False)
            warped, _ = deformation.apply(pixels.astype(np.float64) / 255, np.zeros(pixels.shape, np.uint8))
            name = f"{index:02d}"
            deformations[name] = deformation
            write_section(root / "plain" / f"{name}.tif", pixels)
            write_section(root / "warped" / f"{name}.tif", np.clip(np.rint(255 * warped), 0, 255).astype(np.uint8))
        for kind in ("plain", "warped"):
            run(
                "register",
                run_id="registration",
                dataset_dir=str(root / kind),
                output_dir=str(root / f"{kind}_aligned"),
                reference=middle,
                canvas="reference",
            )
            figures[f"{kind}, passed through"] = sum(
                row["status"] == "passed through"
                for row in json.loads((root / f"{kind}_aligned" / "report.json").read_text())["sections"]
            )
            figures[kind] = {
                "before": _fit(root / kind, None),
                "after": _fit(root / f"{kind}_aligned" / "images", root / f"{kind}_aligned" / "valid"),
            }
        recovered, absolute = [], []
        for name, deformation in deformations.items():
            if name == f"{middle:02d}":
                continue
            plain, warped = (
                Transformation.load(root / f"{kind}_aligned" / "transformations" / f"{name}.npz")
                for kind in ("plain", "warped")
            )
            grid, truth = _sampled(deformation)
            here = warped.forward(grid.astype(np.float64))
            inside = ((truth >= 0) & (truth < deformation.fold.shape)).all(axis=1)
            recovered.append(np.linalg.norm(here - plain.forward(truth), axis=1)[inside])
            absolute.append(np.linalg.norm(here - truth, axis=1)[inside])
        figures["displacement"] = float(
            np.median([np.median(np.linalg.norm(d.displacement, axis=0)) for d in deformations.values()])
        )
        figures["recovered"] = float(np.median(np.concatenate(recovered)))
        figures["recovered, by section"] = [float(np.median(values)) for values in recovered]
        figures["to the original frames"] = float(np.median(np.concatenate(absolute)))
    return figures


def _fit(images: Path, valid: Path | None) -> dict[str, float]:
    """How well the sections of a folder fit those before them: medians over all patches."""
    offsets, correlations = [], []
    before = None
    for section in find_sections(images):
        pixels = read_section(section["image"])
        nothing = missing_tissue(pixels)
        if valid is not None:
            nothing |= read_section(valid / Path(section["image"]).with_suffix(".png").name) == 0
        if before is not None:
            start = Transformation.affine(pixels.shape, np.eye(2, 3))
            found = match_patches(pixels, nothing, *before, start, 100, 40, 37.0)
            offsets.append(np.linalg.norm(found.targets - found.expected, axis=1))
            correlations.append(found.unmoved)
        before = pixels, nothing
    return {
        "offset": float(np.median(np.concatenate(offsets))),
        "correlation": float(np.median(np.concatenate(correlations))),
    }


def _segmentation() -> dict[str, Any]:
    """A misaligned and folded phantom stack, segmented directly, and aligned first and carried back."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        phantom(output=str(root / "stack"), seed=5, size=1024, sections=(1, 1, 6), misalign=True, folds=True)
        images = str(root / "stack" / "images" / "test_*.png")
        run("register", run_id="registration", dataset_dir=images, output_dir=str(root / "aligned"), reference=0)
        segment = {"direct": images, "aligned": str(root / "aligned" / "images")}
        for name, source in segment.items():
            run("inference", run_id="inference", dataset_dir=source, output_dir=str(root / name / "masks"))
        carry(root / "aligned" / "masks", root / "aligned" / "transformations", root / "carried")
        rows = []
        for section in find_sections(images):
            name = Path(section["image"]).stem
            direct = read_section(root / "direct" / "masks" / f"{name}_mitochondria.png") > 0
            carried = read_section(root / "carried" / f"{name}_mitochondria.tif") > 0
            truth = binarize_label(read_section(root / "stack" / "labels" / f"{name}.png")) > 0
            fold = np.load(root / "stack" / "deformation" / f"{name}.npz")["fold"]
            transformation = Transformation.load(root / "aligned" / "transformations" / f"{name}.npz")
            hidden = fold if transformation.fold is None else fold | transformation.fold
            direct, carried, truth = (mask & ~hidden for mask in (direct, carried, truth))
            rows.append(
                {
                    "section": name,
                    "direct and carried back": _jaccard(direct, carried),
                    "direct and truth": _jaccard(direct, truth),
                    "carried back and truth": _jaccard(carried, truth),
                }
            )
    return {"sections": rows}


def markdown(figures: dict[str, Any]) -> str:
    """Draw up the tables.

    Args:
        figures: what `registration` writes to ``registration.json``.

    Returns:
        Markdown.
    """
    blocks = []
    if "phantoms" in figures:
        rows = figures["phantoms"]["figures"]
        tissues = len({row["tissue"] for row in rows})
        lines = [
            f"Known deformations of {tissues} phantom tissues: distance in pixels between recovered and true position. "
            "Median over pixels, mean over the tissues (worst of them).",
            "",
            "| deformation | registered with | method | away from folds | within 30 pixels |",
            "| --- | --- | --- | --- | --- |",
        ]
        for fold in (False, True):
            for neighbour in ("the same section", "the section before"):
                chosen = [row for row in rows if row["folded"] == fold and row["neighbour"] == neighbour]
                for method in dict.fromkeys(row["method"] for row in chosen):
                    cells = [
                        _mean_and_worst([row[key] for row in chosen if row["method"] == method])
                        for key in ("far", "near")
                    ]
                    kind = "with a fold" if fold else "smooth"
                    lines.append(f"| {kind} | {neighbour} | {method} | {cells[0]} | {cells[1]} |")
        blocks.append(_block("Phantoms", lines, figures["phantoms"]))
    if "folded" in figures:
        names = ("left over", "beside the fold", "correlation", "patches")
        lines = [
            "What patches of 64 pixels have still to move to fit best, in pixels (median); beside the fold: those "
            f"within {BESIDE} pixels of it.",
            "",
            f"| method | side | {' | '.join(names)} |",
            "| --- " * 6 + "|",
        ]
        for method, sides in figures["folded"]["figures"].items():
            if method != "fold found":
                for side, row in sides.items():
                    lines.append(f"| {method} | {side} | {' | '.join(_number(row[name]) for name in names)} |")
        found = figures["folded"]["figures"]["fold found"]["jaccard"]
        lines += ["", f"The fold that was found has a Jaccard index of {found:.2f} with the given mask."]
        blocks.append(_block("Real folded pair", lines, figures["folded"]))
    if "vnc" in figures:
        f = figures["vnc"]["figures"]
        lines = [
            f"{f['sections']} sections, each moved by {f['displacement']:.0f} pixels in the median: the registration "
            f"brings them to where it brings the same sections unwarped to {f['recovered']:.2f} pixels in the median "
            f"(sections: {min(f['recovered, by section']):.2f} to {max(f['recovered, by section']):.2f}), and to their "
            f"original frames to {f['to the original frames']:.2f}.",
            "",
            "| stack | passed through | offset to the section before, pixels | correlation with it |",
            "| --- | --- | --- | --- |",
        ]
        for kind in ("plain", "warped"):
            for when in ("before", "after"):
                passed = f[f"{kind}, passed through"] if when == "after" else ""
                row = f[kind][when]
                lines.append(
                    f"| {'as it is' if kind == 'plain' else 'warped'}, {when} | {passed} | {row['offset']:.1f} | "
                    f"{row['correlation']:.3f} |"
                )
        blocks.append(_block("Drosophila VNC", lines, figures["vnc"]))
    if "segmentation" in figures:
        rows = figures["segmentation"]["figures"]["sections"]
        names = [key for key in rows[0] if key != "section"]
        lines = [f"| section | {' | '.join(names)} |", "| --- " * (1 + len(names)) + "|"]
        lines += [f"| {row['section']} | {' | '.join(f'{row[name]:.3f}' for name in names)} |" for row in rows]
        blocks.append(_block("Segmentation, Jaccard index", lines, figures["segmentation"]))
    return "\n".join(blocks)


def _block(title: str, lines: list[str], part: dict[str, Any]) -> str:
    made = f"`python -m bundle evaluate_registration`, commit {part['commit']}, {part['machine']}"
    return "\n".join([f"## {title}", "", *lines, "", made, ""])


def _mean_and_worst(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.2f} ({max(known):.2f})" if known else ""


def _number(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.2f}"
