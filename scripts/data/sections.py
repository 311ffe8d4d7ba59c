"""Lists of sections: what is to be trained on, evaluated or segmented.

A list is a JSON file in the style of the Medical Segmentation Decathlon. Its parts (``training``, ``validation``,
``test``) hold items such as ``{"image": "raw/00.tif", "label": "labels/00.png", "region": [0, 0, 384, 1024]}``, with
paths relative to the list. ``region`` (left, top, right, bottom in pixels, the last two exclusive) and ``page`` (the
section of a stack, from 0) are optional, and so is ``valid``, the path of a mask with 255 where there is a
section at all; where a registration left one, it is found (see `_valid_mask`).

``pixel_size_nm``, a number or [x, y], stands in the list, or in an item, whose own comes first. So does
``label_format``: ``"mask"`` (the default), or ``"instances"``, where each number above 0 is a mitochondrion. ``weight``
of an item, by default 1, is how often patches are drawn from it in training, in proportion to the other
items.
"""

from __future__ import annotations

import glob
import json
import logging
import math
import os
import re
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .image_io import FORMATS, read_info, read_section, split_suffix
from .labels import LABEL_FORMATS, binarize_label
from .pixel_size import parse_pixel_size

__all__ = [
    "check_sections",
    "find_sections",
    "load_sections",
    "pending_sections",
    "require_writable",
    "result_path",
]

logger = logging.getLogger(__name__)

ITEM_KEYS = ("image", "label", "region", "page", "valid", "pixel_size_nm", "label_format", "weight")
"""What an item of a list may hold."""


def load_sections(datalist: str | Path, part: str) -> list[dict]:
    """Read one part of a list of labelled sections and check every entry against the headers of its files.

    Args:
        datalist: JSON file as described at the top of this module.
        part: which list of it, for instance ``"training"``.

    Returns:
        The items, with absolute paths, each with its `page`, `label_format` and `weight`, and with a `pixel_size_nm`
        [x, y] where the list states one, and with `valid`, the path of a mask,
        where a registration left one.

    Raises:
        FileNotFoundError: the list, an image or a label does not exist.
        ValueError: the list is not JSON, lacks the part, or an item is incomplete, its image and label differ in size,
            its region or page lies outside, its weight is no positive number, its pixel size is none, or its label
            format is unknown, or a mask of its registration has another size.
    """
    datalist = Path(datalist)
    content = _read_list(datalist)
    items = content.get(part)
    if not isinstance(items, list) or not items:
        raise ValueError(f"{datalist}: its list '{part}' is missing or empty")
    shared = {key: content[key] for key in ("label_format",) if key in content}
    shared |= _pixel_size_entry(content, str(datalist))
    root = datalist.resolve().parent
    return [_checked_item(item, shared, root, f"{datalist}: {part}[{i}]") for i, item in enumerate(items)]


def check_sections(sections: Sequence[dict], allow_constant: bool = False, require_mitochondria: bool = False) -> None:
    """Read every pixel once, so that a damaged section stops a run before it starts.

    Labels that are all background or all mitochondrion are warned of.

    Args:
        sections: items of `load_sections` or `find_sections`.
        allow_constant: whether an image may be constant.
        require_mitochondria: whether some pixel has to be labelled as mitochondrion, as where weights are chosen by it.

    Raises:
        ValueError: a file is damaged, an image is constant where it must not be, has colours, NaN or infinite pixels,
            or a label or valid mask has other values than `binarize_label` knows; or no pixel is labelled where one has
            to be.
    """
    labelled = False
    for section in tqdm(sections, desc="checking sections", unit="section", leave=False):
        page = section.get("page")
        image = read_section(section["image"], page)
        if not allow_constant and image.min() == image.max():
            where = f"{section['image']}, page {page}" if page else section["image"]
            raise ValueError(f"{where}: is a constant image, all its pixels are {image.flat[0]}; leave it out")
        if "valid" in section:
            binarize_label(read_section(section["valid"], page), section["valid"])
        if "label" in section:
            left, top, right, bottom = section.get("region", (None,) * 4)
            label = _read_label(section, page)[left:right, top:bottom]
            labelled |= bool(label.any())
            if label.min() == label.max():
                kind = "mitochondrion" if label.flat[0] else "background"
                logger.warning("%s: all labelled pixels are %s", section["label"], kind)
    if require_mitochondria and not labelled:
        files = sorted({str(section.get("label")) for section in sections})
        raise ValueError(
            f"{files[0]}{' and others' if len(files) > 1 else ''}: no mitochondrion is labelled in the sections for "
            "validation, so nothing could tell good weights from bad ones"
        )


def hold_out(
    sections: Sequence[dict], share: float, known: Mapping[str, Sequence[int]] | None = None
) -> tuple[list[dict], list[dict]]:
    """Hold out a part of each labelled section for validation, so that even one section can be trained on.

    The part is a strip along the border on which the share of mitochondria is most like that of the whole section, of
    those strips that leave mitochondria on both sides, if there are any.

    Args:
        sections: items with an `image` and its `label`, whole.
        share: of the area of each section, between 0 and 1.
        known: regions that were held out before, by the name of the image's file; they are held out again where they
            are a strip of this share.

    Returns:
        The items for training and those for validation, each with a `region`.

    Raises:
        ValueError: an image is a stack, a label is damaged or has another size than its image, or nothing that is held
            out is labelled as mitochondrion.
    """
    training, validation, mitochondria = [], [], 0
    for section in sections:
        info = read_info(section["image"])
        if info.pages > 1:
            raise ValueError(f"{section['image']}: is a stack of {info.pages} sections where one section is expected")
        label = _read_label(section)
        width, height = label.shape
        if (width, height) != (info.width, info.height):
            raise ValueError(
                f"{section['label']}: has {width}x{height} pixels, its section {section['image']} "
                f"{info.width}x{info.height}"
            )
        x, y = (min(max(1, round(share * length)), length - 1) for length in (width, height))
        strips = {  # the strip, and what is left
            (0, 0, x, height): (x, 0, width, height),
            (width - x, 0, width, height): (0, 0, width - x, height),
            (0, 0, width, y): (0, y, width, height),
            (0, height - y, width, height): (0, 0, width, height - y),
        }
        held = tuple((known or {}).get(Path(section["image"]).name, ()))
        if held not in strips:

            def distance(strip: tuple, strips: dict = strips, label: np.ndarray = label) -> tuple[bool, float]:
                here, there = (label[left:right, top:low] for left, top, right, low in (strip, strips[strip]))
                return not (here.any() and there.any()), abs(here.mean() - label.mean())

            held = min(strips, key=distance)
        left, top, right, low = held
        mitochondria += np.count_nonzero(label[left:right, top:low])
        training.append({**section, "page": 0, "region": list(strips[held])})
        validation.append({**section, "page": 0, "region": list(held)})
    if sections and not mitochondria:
        raise ValueError(
            f"{sections[0]['label']}{' and others' if len(sections) > 1 else ''}: there are no mitochondria in the "
            f"{share:.0%} held out for validation, so nothing could tell good weights from bad ones; hold out a larger "
            "share, or label another section"
        )
    return training, validation


def next_section(uncertainty: Mapping[str, float], labelled: Collection[str]) -> str:
    """Choose the section of a stack to label next: one that is uncertain, and far from those that are labelled.

    Neighbours in a stack are nearly the same tissue, and so are their uncertainties: the most uncertain sections alone
    would lie side by side, and the second would teach little. So each counts by its uncertainty times its distance to
    the nearest labelled section, in sections of the naturally sorted names.

    Args:
        uncertainty: of the sections without a label, by their names, at least 0; not empty.
        labelled: names of those with a label.

    Returns:
        The name of the section.
    """
    order = {name: index for index, name in enumerate(sorted({*uncertainty, *labelled}, key=_natural))}
    places = [order[name] for name in labelled]

    def gain(name: str) -> float:
        return uncertainty[name] * min((abs(order[name] - place) for place in places), default=1)

    return max(sorted(uncertainty, key=_natural), key=gain)


def find_sections(source: str | Path | Sequence[str | Path]) -> list[dict]:
    """List the sections to segment.

    Args:
        source: a folder (all files of a supported format in it), a glob pattern, one file, a list of sections (.json,
            every image of all its parts, whole), or a sequence of files.

    Returns:
        One item ``{"image": path, "page": number, "pages": count}`` per section, in natural order of the files, with a
        `pixel_size_nm` [x, y] where a list states one, and with `valid`, the path of a mask, where a registration
        left one (see `_valid_mask`).

    Raises:
        FileNotFoundError: the folder or a file does not exist, or nothing matches.
        ValueError: a file's header cannot be read or its format is not supported, a list states two pixel sizes for one
            file, or a mask has another size than its section.
    """
    listed = isinstance(source, str | Path) and str(source).endswith(".json")
    sizes = _listed_images(Path(source)) if listed else {}
    files = list(sizes) if listed else _image_files(source)
    if not files:
        raise FileNotFoundError(f"{source}: no sections found; supported formats are {', '.join(FORMATS)}")
    sections = []
    for file in files:
        pages, path = read_info(file).pages, os.path.abspath(file)
        known = _valid_mask(path) | ({"pixel_size_nm": sizes[file]} if sizes.get(file) else {})
        sections += [{"image": path, "page": page, "pages": pages, **known} for page in range(pages)]
    return sections


def result_path(image: str | Path, output_dir: str | Path, postfix: str, dtype: str = "uint8") -> Path:
    """Name the result file of a section.

    Args:
        image: the section's own file.
        output_dir: folder of the results.
        postfix: what is appended to the name.
        dtype: pixel type of the result.

    Returns:
        For instance ``output_dir/name_postfix.png``. The format is that of the section, but for floating-point results
        of a PNG, which become TIFF.

    Raises:
        ValueError: the section's format is not supported.
    """
    stem, suffix = split_suffix(image)
    if suffix == ".png" and np.dtype(dtype).kind == "f":
        suffix = ".tif"
    return Path(output_dir) / f"{stem}_{postfix}{suffix}"


def require_writable(*folders: str | Path) -> None:
    """Make folders, and refuse those that cannot be written, before hours are spent.

    Args:
        *folders: folders of results; missing ones are made.

    Raises:
        OSError: a folder cannot be made or written.
    """
    for folder in folders:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            # permissions do not tell everything, such as read-only disks
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise OSError(f"{folder}: the output folder cannot be written: {error.strerror}") from None


def pending_sections(
    sections: Sequence[dict], output_dir: str | Path, results: Mapping[str, str], overwrite: bool
) -> list[dict]:
    """Leave out the sections whose results exist.

    Args:
        sections: items of `find_sections`.
        output_dir: folder of the results.
        results: what is written for each section: pixel type by what is appended to the name, for instance
            ``{"mitochondria": "uint8"}``.
        overwrite: whether to do them again.

    Returns:
        The sections that remain to be done, perhaps none.

    Raises:
        ValueError: two sections would be written to the same result, or the results among the sections, where the
            next run would take them for sections.
    """
    sources: dict[Path, str] = {}
    for image in dict.fromkeys(section["image"] for section in sections):
        if Path(output_dir).resolve() == Path(image).resolve().parent:
            raise ValueError(f"{output_dir}: the output folder holds the section {image}; choose another one")
        for postfix, dtype in results.items():
            result = result_path(image, output_dir, postfix, dtype)
            if sources.setdefault(result, image) != image:
                raise ValueError(f"{image} and {sources[result]} would both be written to {result}")
    pending = {image for result, image in sources.items() if overwrite or not result.exists()}
    done = len(set(sources.values())) - len(pending)
    if done:
        logger.info(
            "%d of %d files have their results in %s and are left as they are", done, len(pending) + done, output_dir
        )
    return [section for section in sections if section["image"] in pending]


def _read_list(datalist: Path) -> dict:
    if not datalist.is_file():
        raise FileNotFoundError(
            f"{datalist}: no such list of sections; `python -m bundle phantom` makes the default one, "
            "`--datalist` names another"
        )
    try:
        content = json.loads(datalist.read_text())
    except ValueError as error:
        raise ValueError(f"{datalist}: is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{datalist}: is no list of sections, but a JSON {type(content).__name__}")
    return content


def _checked_item(item: dict, shared: dict, root: Path, where: str) -> dict:
    if not isinstance(item, dict) or not {"image", "label"} <= item.keys():
        raise ValueError(f"{where}: needs an 'image' and a 'label', got {item}")
    unknown = item.keys() - set(ITEM_KEYS)
    if unknown:
        raise ValueError(f"{where}: has unknown keys {sorted(unknown)}; known are {', '.join(ITEM_KEYS)}")
    checked = {**shared, **item, **_pixel_size_entry(item, where)}
    checked |= {"image": str(root / item["image"]), "label": str(root / item["label"])}
    image, label = read_info(checked["image"]), read_info(checked["label"])
    if image != label:
        raise ValueError(
            f"{checked['image']} is {image.width}x{image.height} pixels with {image.pages} page(s), but its label "
            f"{checked['label']} is {label.width}x{label.height} with {label.pages}"
        )
    if image.pages > 1 and not _is_index(item.get("page"), image.pages):
        raise ValueError(f"{where}: {checked['image']} has {image.pages} pages, 'page' has to be one, from 0")
    checked.update(_valid_mask(checked["image"], root / item["valid"] if "valid" in item else None))
    # always there, or items would not fit into one batch
    checked["page"] = item.get("page") or 0
    checked["label_format"] = _checked_format(checked.get("label_format", LABEL_FORMATS[0]), where)
    checked["weight"] = _checked_weight(item.get("weight", 1.0), where)
    if "region" in item:
        _check_region(item["region"], image.width, image.height, where)
    return checked


def _pixel_size_entry(entry: Mapping[str, Any], where: str) -> dict[str, list[float]]:
    """What a list, or an item of it, says of the pixel size, as items hold it."""
    if entry.get("pixel_size_nm") is None:
        return {}
    return {"pixel_size_nm": parse_pixel_size(entry["pixel_size_nm"], f"{where}: pixel_size_nm")}


def _checked_format(value: object, where: str) -> str:
    if value not in LABEL_FORMATS:
        raise ValueError(f"{where}: label_format has to be one of {', '.join(LABEL_FORMATS)}, got {value!r}")
    return value


def _checked_weight(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{where}: weight has to be a positive number, got {value!r}")
    return float(value)


def _read_label(section: dict, page: int | None = None) -> np.ndarray:
    label = read_section(section["label"], page)
    return binarize_label(label, section["label"], section.get("label_format", LABEL_FORMATS[0]))


def _valid_mask(image: str, mask: Path | None = None) -> dict[str, str]:
    """Name the mask of a section: that given, or what `run registration` leaves in ``valid`` beside ``images``."""
    if mask is None:
        folder = Path(image).parent
        mask = folder.parent / "valid" / f"{split_suffix(image)[0]}.png"
        if folder.name != "images" or not mask.is_file():
            return {}
    section, valid = read_info(image), read_info(mask)
    if section != valid:
        raise ValueError(
            f"{image} is {section.width}x{section.height} pixels with {section.pages} page(s), but its valid mask "
            f"{mask} is {valid.width}x{valid.height} with {valid.pages}"
        )
    return {"valid": str(mask)}


def _check_region(region: object, width: int, height: int, where: str) -> None:
    if isinstance(region, list) and len(region) == 4 and all(isinstance(edge, int) for edge in region):
        left, top, right, bottom = region
        if 0 <= left < right <= width and 0 <= top < bottom <= height:
            return
    raise ValueError(
        f"{where}: region {region} is no [left, top, right, bottom] within the section of {width}x{height} pixels"
    )


def _is_index(value: object, length: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < length


def _image_files(source: str | Path | Sequence[str | Path]) -> list[str]:
    if not isinstance(source, str | Path):
        return [str(file) for file in source]
    source = str(source)
    if os.path.isdir(source):
        # hidden files are what a file system or a viewer leaves behind
        files = [path for path in Path(source).iterdir() if path.is_file() and not path.name.startswith(".")]
        return sorted((str(path) for path in files if path.name.lower().endswith(FORMATS)), key=_natural)
    if not os.path.exists(source) and glob.has_magic(source):
        return sorted(glob.glob(source, recursive=True), key=_natural)
    if not os.path.exists(source):
        raise FileNotFoundError(f"{source}: no such file or folder")
    return [source]


def _listed_images(datalist: Path) -> dict[str, list[float] | None]:
    """The images of all parts of a list, with the pixel size [x, y] that it states."""
    content, sizes = _read_list(datalist), {}
    shared = _pixel_size_entry(content, str(datalist))
    for item in (item for part in content.values() if isinstance(part, list) for item in part):
        if not isinstance(item, dict) or "image" not in item:
            continue
        file = str(datalist.parent / item["image"])
        size = (shared | _pixel_size_entry(item, f"{datalist}: {item['image']}")).get("pixel_size_nm")
        known = sizes.get(file)
        if size is not None and known is not None and size != known:
            raise ValueError(f"{datalist}: states two pixel sizes for {item['image']}, {known} and {size}")
        sizes[file] = known or size
    return sizes


def _natural(name: str) -> list[str | int]:
    """Sort section 9 before section 10."""
    return [int(run) if run.isdigit() else run.lower() for run in re.split(r"(\d+)", name)]
