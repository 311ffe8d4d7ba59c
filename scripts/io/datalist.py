"""Lists of sections: what is to be trained on, evaluated or segmented.

A list is a JSON file in the style of the Medical Segmentation Decathlon. Its parts (``training``, ``validation``,
``test``) hold items such as ``{"image": "raw/00.tif", "label": "labels/00.png", "region": [0, 0, 384, 1024]}``, with
paths relative to the list; for what is to be segmented alone, the bare name of a file does. ``region`` (left, top,
right, bottom in pixels, the last two exclusive), ``page`` (the section of a stack, from 0) and ``channel`` (one of
several, from 0) are optional, and so is ``valid``, the path of a mask with 255 where there is a section at all, of as
many pages as the image; where a registration left one, it is found (see `valid_mask`).

``pixel_size_nm``, a number or [x, y], stands in the list, or in an item, whose own comes first. So does
``label_format``: ``"mask"`` (the default), or ``"instances"``, where each number above 0 is a mitochondrion. ``weight``
of an item, by default 1, is how often patches are drawn from it in training, in proportion to the other
items.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .formats import FORMATS, split_suffix
from .labels import LABEL_FORMATS
from .pixel_size import parse_pixel_size, say_doubts
from .reading import read_header
from .section import Header, Section

__all__ = [
    "ALIGNED",
    "ALIGNED_LIST",
    "ALIGNED_SETTINGS",
    "ListedImage",
    "aligned_order",
    "listed_images",
    "load_sections",
    "read_list",
    "valid_mask",
]

PARTS = ("training", "validation", "test")
"""The usual parts of a list; others may have any name."""

ALIGNED = "aligned"
"""The part in which a registration lists its sections, in the order of the stack, which their names may not show."""

ALIGNED_LIST = "sections.json"
"""That list, in the folder of a registration."""

ALIGNED_SETTINGS = "chain/settings.json"
"""What says in that folder how it was registered."""

ITEM_KEYS = (
    *("image", "label", "region", "page", "pages", "channel", "valid", "pixel_size_nm", "label_format"),
    *("ignore_value", "known", "weight"),
)
"""What an item of a list may hold; `pages` is what the file says, and not read again."""


def read_list(datalist: str | Path) -> dict[str, Any]:
    """Read a list of sections as it stands: its parts and what it says of all of them.

    Args:
        datalist: JSON file as described at the top of this module.

    Returns:
        Its content, unchecked.

    Raises:
        FileNotFoundError: the list does not exist.
        ValueError: it is not JSON, or no list of sections.
    """
    datalist = Path(datalist)
    if not datalist.is_file():
        raise FileNotFoundError(
            f"{datalist}: no such list of sections; `python -m bundle phantom` makes the default one, "
            "`--datalist` names another"
        )
    content = _read_json(datalist)
    if not isinstance(content, dict):
        raise ValueError(f"{datalist}: is no list of sections, but a JSON {type(content).__name__}")
    return content


def load_sections(datalist: str | Path, part: str) -> list[Section]:
    """Read one part of a list of labelled sections and check every entry against the headers of its files.

    Args:
        datalist: JSON file as described at the top of this module.
        part: which list of it, for instance ``"training"``.

    Returns:
        The sections, with absolute paths, each with its label, `page`, `label_format` and `weight`, with a pixel size
        where the list or the file states one, and with `valid`, the path of a mask, where a registration left one.

    Raises:
        FileNotFoundError: the list, an image or a label does not exist.
        ValueError: the list is not JSON, lacks the part, or an item is incomplete, its image and label differ in size,
            its region or page lies outside, its weight is no positive number, its pixel size is none, or its label
            format is unknown, or a mask of its registration has another size.
    """
    datalist = Path(datalist)
    content = read_list(datalist)
    items = content.get(part)
    if not isinstance(items, list) or not items:
        raise ValueError(f"{datalist}: its list '{part}' is missing or empty")
    shared = {key: content[key] for key in ("label_format", "ignore_value") if key in content}
    shared |= _pixel_size_entry(content, str(datalist))
    root = datalist.resolve().parent
    headers: dict[str, Header] = {}  # many items are regions of one file
    sections = [_checked_item(item, shared, root, f"{datalist}: {part}[{i}]", headers) for i, item in enumerate(items)]
    say_doubts(sections)
    return sections


@dataclass(frozen=True)
class ListedImage:
    """What a list says of an image in all its parts.

    Attributes:
        pixel_size_nm: [x, y], or None.
        valid: path of a mask, or None.
    """

    pixel_size_nm: list[float] | None = None
    valid: Path | None = None


def listed_images(datalist: Path) -> dict[str, ListedImage]:
    """Read which images a list names in all its parts: as items with an ``image``, or as bare names of files.

    Args:
        datalist: JSON file as described at the top of this module.

    Returns:
        What the list says, by absolute paths.

    Raises:
        FileNotFoundError: the list does not exist.
        ValueError: the list is not JSON, states two pixel sizes or two masks for a file, or has an entry that names no
            image.
    """
    content, images = read_list(datalist), {}
    root = datalist.parent.resolve()  # from where a linked folder lies, "..", which its paths may hold, leads up
    shared = _pixel_size_entry(content, str(datalist))
    for part, entries in content.items():
        for i, item in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(item, str) and (part in PARTS or item.lower().endswith(FORMATS)):
                item = {"image": item}  # the test parts of the Medical Segmentation Decathlon
            if not isinstance(item, dict) or not isinstance(item.get("image"), str):
                if part in PARTS:
                    raise ValueError(
                        f"{datalist}: {part}[{i}] must be a file name or hold an 'image', but got {item!r}"
                    )
                continue
            file = os.path.abspath(root / item["image"])
            where = f"{datalist}: {item['image']}"
            size = (shared | _pixel_size_entry(item, where)).get("pixel_size_nm")
            known = images.get(file, ListedImage())
            if None not in (size, known.pixel_size_nm) and size != known.pixel_size_nm:
                raise ValueError(
                    f"{datalist}: states two pixel sizes for {item['image']}, {known.pixel_size_nm} and {size}"
                )
            valid = _named_mask(item, root, where)
            if None not in (valid, known.valid) and valid != known.valid:
                raise ValueError(f"{datalist}: names two valid masks of {item['image']}, {known.valid} and {valid}")
            images[file] = ListedImage(known.pixel_size_nm or size, known.valid or valid)
    return images


def valid_mask(image: Header, mask: Path | None = None) -> str | None:
    """Name the mask of a section: that given, or what `run registration` leaves beside ``images`` or ``images.zarr``.

    What is found there is taken only if this bundle wrote it, or the sections beside it: ``valid`` is also what folders
    for validation are called.

    Args:
        image: header of the section's file.
        mask: what a list names, or None.

    Returns:
        Its path, None where there is none.

    Raises:
        FileNotFoundError: the mask that is named does not exist.
        ValueError: it has another size than the section.
    """
    if mask is None:
        folder = Path(image.path).parent
        mask = folder.parent / "valid" / f"{split_suffix(image.path)[0]}.png"
        if Path(image.path).name == "images.zarr":
            mask = folder / "valid.zarr"
            found = mask.is_dir()
        else:
            found = folder.name == "images" and mask.is_file()
        registered = (folder if mask.suffix == ".zarr" else folder.parent) / ALIGNED_SETTINGS
        if not found or not (read_header(mask).result or registered.is_file()):
            return None
    valid = read_header(mask)
    if image.size != valid.size:
        raise ValueError(f"{image.path} is {image}, but its valid mask {mask} is {valid}")
    return str(mask)


def aligned_order(folder: str | Path) -> list[str] | None:
    """Tell in which order the sections of a folder were registered, from what `run registration` leaves beside it.

    Args:
        folder: of sections.

    Returns:
        Names of its files, in the order of the stack; None where it is not that of a registration.

    Raises:
        ValueError: the list of the registration is damaged.
    """
    folder = Path(os.path.abspath(folder))
    datalist = folder.parent / ALIGNED_LIST
    if folder.name != "images" or not datalist.is_file():
        return None
    content = _read_json(datalist)  # perhaps that of someone else, and no list of sections
    listed = content.get(ALIGNED) if isinstance(content, dict) else None
    if not isinstance(listed, list) or not all(isinstance(file, str) for file in listed):
        return None
    return [Path(file).name for file in listed]


def _read_json(datalist: Path) -> Any:
    try:
        return json.loads(datalist.read_text(encoding="utf-8-sig"))  # editors of Windows begin files with a mark
    except ValueError as error:
        raise ValueError(f"{datalist}: is not JSON: {error}") from None


def _checked_item(item: dict, shared: dict, root: Path, where: str, headers: dict[str, Header]) -> Section:
    if not isinstance(item, dict) or not {"image", "label"} <= item.keys():
        raise ValueError(f"{where}: needs an 'image' and a 'label', but got {item}")
    unknown = item.keys() - set(ITEM_KEYS)
    if unknown:
        raise ValueError(f"{where}: has unknown keys {sorted(unknown)}; known are {', '.join(ITEM_KEYS)}")
    for key in ("image", "label", "known"):
        if not isinstance(item.get(key, ""), str):
            raise ValueError(f"{where}: {key} must be the path of a file, but got {item[key]!r}")
    own = {**shared, **item, **_pixel_size_entry(item, where)}
    paths = [str(root / item[key]) for key in ("image", "label")]
    for path in paths:
        if path not in headers:
            headers[path] = read_header(path)
    image, label = (headers[path] for path in paths)
    if image.size != label.size:
        raise ValueError(f"{image.path} is {image}, but its label {label.path} is {label}")
    if image.pages > 1 and not _is_index(item.get("page"), image.pages):
        raise ValueError(f"{where}: {image.path} has {image.pages} pages, 'page' must be one, from 0")
    if item.get("channel") is not None and not _is_index(item["channel"], max(3, image.channels)):
        raise ValueError(f"{where}: channel must be one of {image.path}, from 0, but got {item['channel']!r}")
    if "region" in item:
        _check_region(item["region"], image.width, image.height, where)
    stated = own.get("pixel_size_nm") is not None
    size = own["pixel_size_nm"] if stated else image.pixel_size_nm
    return Section(
        image,
        page=item.get("page") or 0,
        channel=item.get("channel"),
        pixel_size_nm=None if size is None else tuple(size),
        pixel_size_stated=stated,
        label=label.path,
        label_format=_checked_format(own.get("label_format", LABEL_FORMATS[0]), where),
        region=tuple(item["region"]) if "region" in item else None,
        ignore_value=_checked_ignore_value(own.get("ignore_value"), where),
        known=_known_mask(image, root / item["known"], where) if "known" in item else None,
        valid=valid_mask(image, _named_mask(item, root, where)),
        weight=_checked_weight(item.get("weight", 1.0), where),
    )


def _pixel_size_entry(entry: Mapping[str, Any], where: str) -> dict[str, list[float]]:
    """What a list, or an item of it, says of the pixel size, as items hold it."""
    if entry.get("pixel_size_nm") is None:
        return {}
    return {"pixel_size_nm": parse_pixel_size(entry["pixel_size_nm"], f"{where}: pixel_size_nm")}


def _named_mask(item: Mapping[str, Any], root: Path, where: str) -> Path | None:
    """The valid mask that an item names, if it does."""
    name = item.get("valid")
    if name is not None and not isinstance(name, str):
        raise ValueError(f"{where}: valid must be the path of a mask, but got {name!r}")
    return None if name is None else root / name


def _checked_format(value: object, where: str) -> str:
    if value not in LABEL_FORMATS:
        raise ValueError(f"{where}: label_format must be one of {', '.join(LABEL_FORMATS)}, but got {value!r}")
    return value


def _checked_ignore_value(value: object, where: str) -> int | None:
    if value is not None and (type(value) is not int or value < 1):
        raise ValueError(f"{where}: ignore_value must be a whole number from 1 on, but got {value!r}")
    return value


def _known_mask(image: Header, mask: Path, where: str) -> str:
    known = read_header(mask)
    if (known.width, known.height) != (image.width, image.height) or known.pages not in (1, image.pages):
        raise ValueError(f"{where}: {image.path} is {image}, but its mask of what is known, {mask}, is {known}")
    return str(mask)


def _checked_weight(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{where}: weight must be a positive number, but got {value!r}")
    return float(value)


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
