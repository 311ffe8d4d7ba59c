"""Alignment of whole stacks: files in, files out, over the algorithms of `scripts.registration`."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from scripts.figures import save_picture
from scripts.grey_levels import tissue_mask
from scripts.io import (
    binarize_label,
    find_sections,
    read_header,
    read_section,
    require_writable,
    split_suffix,
    write_atomically,
    write_json,
    write_section,
)
from scripts.registration import (
    INTERPOLATIONS,
    Neighbour,
    PairRegistration,
    Registration,
    RegistrationError,
    Transformation,
    affine_between,
    missing_tissue,
    pair_picture,
    remove_drift,
    to_aligned,
    to_section,
)

__all__ = ["StackAlignment", "carry"]

logger = logging.getLogger(__name__)

REFERENCE, REGISTERED, PASSED = "reference", "registered", "passed through"
CANVASES = ("union", "reference")
FILLS = ("black", "drawn")
DIRECTIONS = ("to_sections", "to_aligned")
PICTURE_SIZE = 700
COLUMNS = (
    "section",
    "status",
    "message",
    "features",
    "matches",
    "inliers",
    "models",
    "patches",
    "residual_before",
    "residual_after",
    "correlation_before",
    "correlation_after",
    "fold_share",
    "jacobian_exceptions",
    "without_source",
)
FOLDERS = {"images": ".tif", "valid": ".png", "transformations": ".npz", "pictures": ".png"}
"""What is written for each section."""


class StackAlignment:
    """Aligns the sections of a stack one by one, from a reference on in both directions.

    Each section is registered with the nearest sections that are aligned already, and its transformation leads from its
    own pixels to those of the aligned stack at once: whatever the length of the chain, a pixel is interpolated once. A
    section that cannot be registered is passed through with its neighbours' transformation (the affine part), and
    marked in the report.

    In the output folder appear ``images`` (one TIFF per section), ``valid`` (255 where a pixel has a source),
    ``transformations`` (see `Transformation.load`), ``pictures`` (a panel per section, see `pair_picture`),
    ``report.csv`` and ``report.json``; and ``chain``, from which a run that was interrupted goes on.

    Args:
        sections: items of `find_sections`, in the order of the stack.
        output_dir: folder of the results.
        registration: registers one section.
        working_size: most pixels of the longer side at which sections are matched; they are reduced by a whole factor.
        neighbours: aligned sections with which a section is registered.
        chunk: sections over which the chain may bend, see `remove_drift`.
        reference: number of the section, from 0, whose frame is that of the stack; None takes the middle one, or the
            nearest to it that shows tissue.
        folds_dir: folder with a mask (0 tissue, 255 fold) of each section that has folds, named as the section; in
            sections without a mask folds are looked for.
        canvas: ``"union"`` makes the aligned stack so large that nothing is cut off, ``"reference"`` as large as the
            reference.
        interpolation: of the sections, ``"cubic"`` or ``"lanczos"``.
        fill: of pixels without source: ``"black"``, or ``"drawn"``, at random from the grey levels of the section, so
            that its histogram stays as it is and equalisation does to it what it did before.
        overwrite: whether to replace what an earlier run left.

    Raises:
        ValueError: an argument is out of range, or two sections would be written to the same file.
        FileNotFoundError: `folds_dir` does not exist.
    """

    def __init__(
        self,
        sections: Sequence[dict],
        output_dir: str | Path,
        registration: PairRegistration,
        working_size: int = 1536,
        neighbours: int = 2,
        chunk: int = 50,
        reference: int | None = None,
        folds_dir: str | Path | None = None,
        canvas: str = "union",
        interpolation: str = "cubic",
        fill: str = "black",
        overwrite: bool = False,
    ) -> None:
        if not sections:
            raise ValueError("there are no sections to align")
        for name, value, least in (
            ("working_size", working_size, 64),
            ("neighbours", neighbours, 1),
            ("chunk", chunk, 2),
        ):
            if type(value) is not int or value < least:
                raise ValueError(f"{name} has to be a whole number from {least} on, got {value!r}")
        if canvas not in CANVASES:
            raise ValueError(f"canvas has to be one of {', '.join(CANVASES)}, got {canvas!r}")
        if interpolation not in INTERPOLATIONS or interpolation == "nearest":
            raise ValueError(f"interpolation of the sections has to be cubic or lanczos, got {interpolation!r}")
        if fill not in FILLS:
            raise ValueError(f"fill has to be one of {', '.join(FILLS)}, got {fill!r}")
        if reference is not None and (type(reference) is not int or not 0 <= reference < len(sections)):
            raise ValueError(f"reference has to be a section from 0 to {len(sections) - 1}, got {reference!r}")
        self.sections = list(sections)
        self.output_dir = Path(output_dir)
        self.registration = registration
        self.working_size = working_size
        self.neighbours = neighbours
        self.chunk = chunk
        self.reference = reference
        self.folds_dir = folds_dir
        self.canvas = canvas
        self.interpolation = interpolation
        self.fill = fill
        self.overwrite = overwrite
        self._images: dict[int, tuple[NDArray[np.uint8], NDArray[np.bool_] | None]] = {}
        self._names = _names(self.sections)
        self._sizes = _sizes(self.sections)
        self._folds = _fold_masks(folds_dir, self._names, self._sizes)
        self._factor = -(-max(map(max, self._sizes)) // working_size)

    def check(self) -> None:
        """Look at what an earlier run left, before anything is written.

        Raises:
            ValueError: the output folder holds the sections.
            FileExistsError: it holds an alignment of other sections, or with other settings, and `overwrite` is false.
        """
        for image in dict.fromkeys(section["image"] for section in self.sections):
            if self.output_dir.resolve() in Path(image).resolve().parents:
                raise ValueError(f"{self.output_dir}: the output folder holds the section {image}; choose another one")
        require_writable(self.output_dir)
        for mask in filter(None, self._folds):
            binarize_label(read_section(mask), mask)
        settings = self._settings()
        path = self.output_dir / "chain" / "settings.json"
        found = _read_settings(path)
        if found is not None and found != settings and not self.overwrite:
            differing = sorted(key for key in settings.keys() | found if settings.get(key) != found.get(key))
            raise FileExistsError(
                f"{self.output_dir} holds another alignment; what differs: {', '.join(differing)}. Choose another "
                "--output_dir, or replace it by --overwrite True"
            )
        present = [
            file
            for folder, suffix in {**FOLDERS, "chain": ".*"}.items()
            for file in (self.output_dir / folder).glob(f"*{suffix}")
            if file.is_file()
        ]
        if found is None and present:
            raise FileExistsError(f"{present[0]}: is not of an alignment; choose another --output_dir")
        if self.overwrite:
            for file in present:
                file.unlink()
        write_json(path, settings)

    def run(self) -> None:
        """Register and warp all sections that are not done yet, and write the report."""
        results, reference = self._chain()
        transformations = [result.transformation for result in results]
        self._pass_through(results, transformations)
        transformations = remove_drift(transformations, self.chunk, reference)
        transformations, size = self._placed(transformations, reference)
        self._warp(results, transformations, size)
        self._report(results, reference, size)

    def _settings(self) -> dict[str, Any]:
        """Everything that decides on the result, as JSON has it."""
        settings = _public(self)
        settings["sections"] = [[s["image"], s["page"], _changed(s["image"])] for s in self.sections]
        settings["folds_dir"] = [[mask, mask and _changed(mask)] for mask in self._folds]
        for key in ("output_dir", "overwrite"):
            del settings[key]
        return json.loads(json.dumps(settings, default=str))

    def _chain(self) -> tuple[list[Registration], int]:
        """Transformation of each section into the frame of the reference, and the reference."""
        count = len(self.sections)
        results: dict[int, Registration] = {}
        with tqdm(total=count, desc="registering", unit="section") as progress:
            middle = count // 2 if self.reference is None else self.reference
            reference = None
            for index in sorted(range(count), key=lambda i: abs(i - middle)):
                results[index] = self._start(index)
                progress.update()
                if results[index].numbers["status"] == REFERENCE:
                    reference = index
                    break
                if self.reference is not None:
                    raise ValueError(
                        f"{self._where(index)} cannot be the reference: {results[index].numbers['message']}"
                    )
            if reference is None:
                raise ValueError(
                    f"none of the {count} sections can be the reference; {self._where(index)}: "
                    f"{results[index].numbers['message']}"
                )
            for way in (range(reference + 1, count), range(reference - 1, -1, -1)):
                near = [reference]
                for index in way:
                    if index in results:
                        continue
                    results[index] = self._section(index, near, results)
                    if results[index].numbers["status"] == REGISTERED:
                        near = [index, *near][: self.neighbours]
                    progress.update()
        return [results[i] for i in range(count)], reference

    def _start(self, index: int) -> Registration:
        """The reference, or a section that cannot be it."""
        image, fold = self._working(index)
        start = Transformation.affine(image.shape, np.eye(2, 3))
        try:
            self.registration.require_tissue(image, fold)
        except RegistrationError as error:
            return Registration(start, {"status": PASSED, "message": str(error)})
        # its own folds hide tissue and are cut, but nothing tells how far their sides belong apart
        return Registration(start.with_fold(fold), {"status": REFERENCE, "message": ""})

    def _section(self, index: int, near: Sequence[int], results: dict[int, Registration]) -> Registration:
        """Register a section with those near, the nearest first, or read what an earlier run found."""
        files = [self.output_dir / "chain" / f"{self._names[index]}{suffix}" for suffix in (".npz", ".json")]
        if all(file.exists() for file in files):
            return Registration(Transformation.load(files[0]), json.loads(files[1].read_text()))
        image, fold = self._working(index)
        # in a frame around the nearest neighbour: along a stack the sections may wander far from the reference
        outline = results[near[0]].transformation.outline()
        low = np.floor(outline.min(axis=0))
        size = tuple(int(n) for n in np.ceil(outline.max(axis=0) - low) + 1)
        start = affine_between([results[near[0]].transformation.shifted(-low)], [1.0], image.shape)
        try:
            neighbours = [self._neighbour(i, results[i].transformation.shifted(-low), size) for i in near]
            result = self.registration(image, neighbours, start, fold)
            numbers = {"status": REGISTERED, "message": "", **result.numbers}
            result = Registration(result.transformation.shifted(low), numbers)
        except RegistrationError as error:
            logger.warning("%s is passed through: %s", self._where(index), error)
            result = Registration(start.shifted(low), {"status": PASSED, "message": str(error)})
        result.numbers["neighbours"] = [self._names[i] for i in near]
        write_atomically(files[0], result.transformation.save)
        write_json(files[1], result.numbers)
        for old in [i for i in self._images if i != index and i not in near]:
            del self._images[old]
        return result

    def _working(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
        """A section and the mask of its folds at working resolution, 8 bit."""
        if index not in self._images:
            section, mask = self.sections[index], self._folds[index]
            image = _eight_bit(read_section(section["image"], section["page"]), self._factor)
            fold = None
            if mask is not None:
                # whatever a pixel has of a fold: a line drawn by hand must not vanish, and has to separate its sides
                fold = _reduce(255 * binarize_label(read_section(mask), mask), self._factor) > 0
                fold = cv2.dilate(fold.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
            self._images[index] = image, fold
        return self._images[index]

    def _neighbour(self, index: int, transformation: Transformation, size: tuple[int, int]) -> Neighbour:
        """A section as others are registered with it."""
        image, _ = self._working(index)
        aligned, valid = to_aligned(image, transformation, size)
        nothing, _ = to_aligned(missing_tissue(image), transformation, size, "nearest")
        return Neighbour(aligned, ~valid | nothing)

    def _pass_through(self, results: list[Registration], transformations: list[Transformation]) -> None:
        """Give the sections that could not be registered what their neighbours on both sides have."""
        good = [i for i, result in enumerate(results) if result.numbers["status"] != PASSED]
        for index, result in enumerate(results):
            if result.numbers["status"] == PASSED:
                sides = [i for i in good if i < index][-1:] + [i for i in good if i > index][:1]
                weights = [1 / abs(i - index) for i in sides]
                result.numbers["neighbours"] = [self._names[i] for i in sides]
                size = transformations[index].grid.size
                transformations[index] = affine_between([transformations[i] for i in sides], weights, size)

    def _placed(
        self, transformations: list[Transformation], reference: int
    ) -> tuple[list[Transformation], tuple[int, int]]:
        """The transformations at full resolution into the pixels of the aligned stack, and its size."""
        full = [t.enlarged(self._factor, size) for t, size in zip(transformations, self._sizes, strict=True)]
        if self.canvas == "reference":
            return full, self._sizes[reference]
        low, high = np.zeros(2), np.array(self._sizes[reference]) - 1.0
        for transformation in full:
            outline = transformation.outline()
            low, high = np.minimum(low, outline.min(axis=0)), np.maximum(high, outline.max(axis=0))
        low = np.floor(low)
        size = tuple(int(n) for n in np.ceil(high - low) + 1)
        return [t.shifted(-low) for t in full], size

    def _warp(self, results: list[Registration], transformations: list[Transformation], size: tuple[int, int]) -> None:
        """Write what `FOLDERS` names for each section that lacks some of it."""
        before: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None
        for index, section in enumerate(tqdm(self.sections, desc="warping", unit="section")):
            files = {key: self.output_dir / key / f"{self._names[index]}{suffix}" for key, suffix in FOLDERS.items()}
            if all(file.exists() for file in files.values()):
                valid, before = read_section(files["valid"]) > 0, None
            else:
                transformation = transformations[index]
                pixels = read_section(section["image"], section["page"])
                aligned, valid = to_aligned(pixels, transformation, size, self.interpolation)
                if before is None and index:
                    before = self._small(index - 1)
                now = self._small(index, pixels, aligned)
                if self.fill == "drawn" and valid.any():
                    levels = aligned[valid]
                    aligned[~valid] = np.random.default_rng(0).choice(levels, np.count_nonzero(~valid))
                write_section(files["images"], aligned, like=section["image"])
                write_section(files["valid"], np.where(valid, np.uint8(255), np.uint8(0)), result=True)
                write_atomically(files["transformations"], lambda path, t=transformation: t.save(path, size))
                picture = pair_picture(before, now, transformation, size)
                save_picture(picture, files["pictures"])
                before = now
            results[index].numbers["without_source"] = round(float(1 - valid.mean()), 4)

    def _small(
        self, index: int, pixels: NDArray[Any] | None = None, aligned: NDArray[Any] | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """A section as it was and as it is aligned, for pictures."""
        section = self.sections[index]
        if pixels is None:
            pixels = read_section(section["image"], section["page"])
            aligned = read_section(self.output_dir / "images" / f"{self._names[index]}.tif")
            aligned[read_section(self.output_dir / "valid" / f"{self._names[index]}.png") == 0] = 0
        factor = max(1, -(-max(aligned.shape) // PICTURE_SIZE))
        return _eight_bit(pixels, factor), _eight_bit(aligned, factor)

    def _report(self, results: list[Registration], reference: int, size: tuple[int, int]) -> None:
        rows = []
        for name, result, section in zip(self._names, results, self.sections, strict=True):
            numbers = {
                # lengths were measured at working resolution
                key: value * self._factor if key.startswith("residual") else value
                for key, value in result.numbers.items()
            }
            rows.append({"section": name, "image": section["image"], "page": section["page"], **numbers})
        write_json(
            self.output_dir / "report.json",
            {
                "reference": self._names[reference],
                "width": size[0],
                "height": size[1],
                "working_resolution": f"1/{self._factor}",
                "sections": _rounded(rows),
            },
        )
        table = io.StringIO()
        writer = csv.DictWriter(table, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(_rounded(rows))
        write_atomically(self.output_dir / "report.csv", lambda path: path.write_text(table.getvalue()))
        passed = [row["section"] for row in rows if row["status"] == PASSED]
        if passed:
            logger.warning(
                "%d of %d sections were passed through and not registered: %s; report.csv says why",
                len(passed),
                len(rows),
                ", ".join(passed),
            )

    def _where(self, index: int) -> str:
        section = self.sections[index]
        return f"{section['image']}, page {section['page']}" if section["pages"] > 1 else section["image"]


def carry(
    source: str | Path | Sequence[str | Path],
    transformations_dir: str | Path,
    output_dir: str | Path,
    direction: str = "to_sections",
    interpolation: str = "nearest",
    overwrite: bool = False,
) -> None:
    """Carry pictures between the frames of the sections and the aligned stack, such as labels and segmentations.

    Args:
        source: what to carry: a folder, a glob pattern, one file or several. Files are named as the aligned sections,
            or as these with something appended (``section_07_mitochondria.tif``); pages of a stack as
            ``<stack>_<page>``.
        transformations_dir: ``transformations`` of the output of `StackAlignment`.
        output_dir: folder of the results, of the same names.
        direction: ``"to_sections"`` takes pictures of the aligned stack to the frames of the sections,
            ``"to_aligned"`` the other way.
        interpolation: ``"nearest"`` for labels, ``"cubic"`` for grey levels.
        overwrite: whether to replace results that exist; otherwise they are left as they are.

    Raises:
        FileNotFoundError: there is nothing to carry, or no transformation that belongs to a file.
        ValueError: a setting is unknown, or a file has another size than its section or than the aligned stack.
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"direction has to be one of {', '.join(DIRECTIONS)}, got {direction!r}")
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation has to be one of {', '.join(INTERPOLATIONS)}, got {interpolation!r}")
    known = {file.stem: file for file in Path(transformations_dir).glob("*.npz")}
    if not known:
        raise FileNotFoundError(f"{transformations_dir}: holds no transformations (.npz)")
    sections = find_sections(source)
    work = []
    for section, name in zip(sections, _names(sections), strict=True):
        owner = _owner(section, known)
        if owner is None:
            raise FileNotFoundError(
                f"{section['image']}: there is no transformation of its section in {transformations_dir}"
            )
        path = known[owner]
        sizes = Transformation.load_sizes(path)
        expected = sizes[direction == "to_sections"]
        info = read_header(section["image"])
        if (info.width, info.height) != expected:
            raise ValueError(
                f"{section['image']}: has {info.width}x{info.height} pixels, but the "
                f"{'aligned stack' if direction == 'to_sections' else 'section'} {expected[0]}x{expected[1]}"
            )
        target = Path(output_dir) / f"{name}{'.png' if split_suffix(section['image'])[1] == '.png' else '.tif'}"
        if Path(output_dir).resolve() == Path(section["image"]).resolve().parent:
            raise ValueError(f"{output_dir}: the output folder holds the file {section['image']}; choose another one")
        work.append((section, path, sizes, target))
    require_writable(output_dir)
    for section, path, sizes, target in tqdm(work, desc="carrying", unit="picture"):
        if target.exists() and not overwrite:
            logger.info("%s exists and is left as it is", target)
            continue
        transformation = Transformation.load(path)
        pixels = read_section(section["image"], section["page"])
        if direction == "to_sections":
            moved, _ = to_section(pixels, transformation, interpolation)
        else:
            moved, _ = to_aligned(pixels, transformation, sizes[1], interpolation)
        write_section(target, moved, like=section["image"])


def _names(sections: Sequence[dict]) -> list[str]:
    """A name for each section, under which its results are written."""
    names: dict[str, dict] = {}
    for section in sections:
        name = split_suffix(section["image"])[0] + _page_suffix(section)
        if name in names:
            raise ValueError(f"{section['image']} and {names[name]['image']} would both be written as {name}")
        names[name] = section
    return list(names)


def _page_suffix(section: dict) -> str:
    """What tells the sections of a stack apart, nothing for a single one."""
    return f"_{section['page']:0{len(str(section['pages'] - 1))}d}" if section["pages"] > 1 else ""


def _owner(section: dict, known: Collection[str]) -> str | None:
    """The aligned section that a picture belongs to, whose name it has, perhaps with something appended."""
    stem, _ = split_suffix(section["image"])
    page = _page_suffix(section)
    owners = [
        name for name in known if name.endswith(page) and f"{stem}_".startswith(f"{name[: len(name) - len(page)]}_")
    ]
    return max(owners, key=len, default=None)


def _changed(file: str) -> int:
    return Path(file).stat().st_mtime_ns


def _read_settings(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text())
    except ValueError:
        return {}  # damaged: as those of another alignment


def _sizes(sections: Sequence[dict]) -> list[tuple[int, int]]:
    infos = {image: read_header(image) for image in dict.fromkeys(section["image"] for section in sections)}
    return [(infos[section["image"]].width, infos[section["image"]].height) for section in sections]


def _fold_masks(folder: str | Path | None, names: Sequence[str], sizes: Sequence[tuple[int, int]]) -> list[str | None]:
    if folder is None:
        return [None] * len(names)
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of fold masks")
    masks = {split_suffix(mask["image"])[0]: mask["image"] for mask in find_sections(folder)}
    unknown = sorted(masks.keys() - set(names))
    if unknown:
        raise ValueError(f"{masks[unknown[0]]}: is a fold mask of no section; sections are named {names[0]} and so on")
    for name, size in zip(names, sizes, strict=True):
        if name in masks:
            info = read_header(masks[name])
            if (info.width, info.height) != size:
                raise ValueError(
                    f"{masks[name]}: has {info.width}x{info.height} pixels, its section {size[0]}x{size[1]}"
                )
    return [masks.get(name) for name in names]


def _public(component: object) -> dict[str, Any]:
    """Arguments of a component, and of those within it after a #."""
    settings: dict[str, Any] = {}
    for key, value in vars(component).items():
        if key.startswith("_"):
            continue
        if type(value).__module__.startswith("scripts."):
            settings |= {f"{key}#{inner}": setting for inner, setting in _public(value).items()}
        else:
            settings[key] = value
    return settings


def _reduce(pixels: NDArray[Any], factor: int) -> NDArray[Any]:
    """Mean over blocks of factor x factor pixels; a rest at the border is left out."""
    width, height = (n // factor for n in pixels.shape)
    if pixels.dtype not in (np.uint8, np.uint16, np.float32):
        pixels = pixels.astype(np.float32)
    if factor == 1:
        return pixels
    cropped = np.ascontiguousarray(pixels[: width * factor, : height * factor])
    return cv2.resize(cropped, (height, width), interpolation=cv2.INTER_AREA)


def _eight_bit(pixels: NDArray[Any], factor: int) -> NDArray[np.uint8]:
    """Reduce a section and stretch the grey levels of its tissue to 8 bit."""
    small = _reduce(pixels, factor)
    low, high = np.percentile(small[::4, ::4][tissue_mask(small)[::4, ::4]], (0.5, 99.5))
    if not high > low:
        return np.zeros(small.shape, np.uint8)
    return np.clip((small.astype(np.float32) - low) * (255 / (high - low)), 0, 255).astype(np.uint8)


def _rounded(rows: list[dict]) -> list[dict]:
    return [{k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()} for row in rows]
