"""Names of results, and which of them are missing."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .files import lies_in, write_json
from .formats import WRITTEN, split_suffix
from .reading import content_state, read_header, read_section
from .records import Records, differences
from .section import Header, Section
from .writing import write_section

__all__ = ["PageStore", "made_of", "result_path", "unfinished_sections", "write_result"]

logger = logging.getLogger(__name__)

NOTE = "made_of.json"
"""File beside the pages of a result that says what they depend on."""


def result_path(image: str | Path, output_dir: str | Path, postfix: str, dtype: str = "uint8") -> Path:
    """Name the result file of a section.

    Args:
        image: the section's own file.
        output_dir: folder of the results.
        postfix: what is appended to the name.
        dtype: pixel type of the result.

    Returns:
        For instance ``output_dir/name_postfix.png``. The format is that of the section; results of formats that are not
        written, and floating-point results of a PNG, become TIFF.

    Raises:
        ValueError: the section's format is not supported.
    """
    stem, suffix = split_suffix(image)
    if suffix == ".nhdr":
        suffix = ".nrrd"
    if suffix not in WRITTEN or (suffix == ".png" and np.dtype(dtype).kind == "f"):
        suffix = ".tif"
    return Path(output_dir) / f"{stem}_{postfix}{suffix}"


def write_result(
    path: Path, page: int, pixels: np.ndarray, like: Section | Header, made_of: Mapping[str, Any] | None = None
) -> bool:
    """Write the result of a section, or keep it until all sections of its file have theirs.

    Args:
        path: see `result_path`.
        page: of the section in its file.
        pixels: (width, height).
        like: the section, or the header of its file; see `scripts.io.write_section`.
        made_of: what the result depends on, see `made_of`, of which a record is kept if it says by what it is made;
            None takes the pages of a stack that are there.

    Returns:
        Whether the result is complete.

    Raises:
        OSError: it cannot be written.
    """
    if like.pages == 1:
        write_section(path, pixels, like=like, result=True)
    else:
        store = PageStore(path, made_of)
        store.add(page, pixels)
        if len(store.pages()) < like.pages:
            return False
        store.join(like)
    if made_of is not None and made_of["made_by"] is not None:
        Records.add(path, made_of)
    return True


class PageStore:
    """The finished pages of a result that is a stack, until the last of them has come.

    They lie as files in a hidden folder beside the result, so that a run that was stopped goes on where it was, and no
    stack has to be in memory. Pages of another file, or that were made in another way, do not count, and are removed
    when the first new one comes, so that no result is made of both.

    Args:
        result: file of the whole stack.
        made_of: what the pages depend on, as JSON holds it; None takes those that are there, whatever they are of.
    """

    def __init__(self, result: Path, made_of: Mapping[str, Any] | None = None) -> None:
        self.result = result
        self.made_of = made_of
        self.folder = result.parent / f".{result.name}.pages"

    def pages(self) -> set[int]:
        """Tell which pages are finished.

        Returns:
            Their numbers, from 0.
        """
        return {int(file.stem) for file in self.folder.glob("*.tif")} if self.fits() else set()

    def fits(self) -> bool:
        """Tell whether the pages that are there are of the same file and made in the same way."""
        if self.made_of is None:
            return True
        try:
            return json.loads((self.folder / NOTE).read_text()) == self.made_of
        except (OSError, ValueError):
            return False

    def add(self, page: int, pixels: np.ndarray) -> None:
        """Keep a page.

        Args:
            page: its number, from 0.
            pixels: (width, height).

        Raises:
            OSError: it cannot be written.
        """
        if not self.fits():
            self.clear()
            write_json(self.folder / NOTE, self.made_of)
        write_section(self._file(page), pixels)

    def join(self, like: Section | Header) -> None:
        """Write the stack, and remove the pages.

        Args:
            like: one of its sections, or the header of their file, whose pages are all finished.

        Raises:
            OSError: it cannot be written; the pages stay.
        """
        write_section(self.result, _Pages([self._file(page) for page in range(like.pages)]), like=like, result=True)
        self.clear()

    def clear(self) -> None:
        """Remove the pages."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, page: int) -> Path:
        return self.folder / f"{page:06d}.tif"


class _Pages(Sequence):
    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> np.ndarray:
        if index >= len(self.files):
            raise IndexError(index)
        return read_section(self.files[index])


def unfinished_sections(
    sections: Sequence[Mapping[str, Any]],
    output_dir: str | Path,
    results: Mapping[str, str],
    overwrite: bool,
    made_by: Mapping[str, Any] | None = None,
) -> list[Mapping[str, Any]]:
    """Leave out the sections whose results exist.

    Args:
        sections: of `find_sections`.
        output_dir: folder of the results.
        results: what is written for each section: pixel type by what is appended to the name, for instance
            ``{"mitochondria": "uint8"}``.
        overwrite: whether to do them again.
        made_by: see `made_of`; None keeps results whatever they were made by.

    Returns:
        The sections that remain to be done, perhaps none: of a stack that was interrupted, the pages that are missing.

    Raises:
        ValueError: two sections would be written to the same result, or the results among the sections, where the
            next run would take them for sections.
        FileExistsError: a result, or the finished pages of a stack that was interrupted, are of another file, or made
            in another way.
    """
    sources: dict[Path, str] = {}
    for image in dict.fromkeys(section["image"] for section in sections):
        if lies_in(image, output_dir):
            raise ValueError(f"{output_dir}: the output folder holds the section {image}; choose another one")
        for postfix, dtype in results.items():
            result = result_path(image, output_dir, postfix, dtype)
            if sources.setdefault(result, image) != image:
                raise ValueError(f"{image} and {sources[result]} would both be written to {result}")
    if made_by is not None and not overwrite:
        _require_same({result: image for result, image in sources.items() if result.exists()}, output_dir, made_by)
    pending = {image for result, image in sources.items() if overwrite or not result.exists()}
    done = len(set(sources.values())) - len(pending)
    if done:
        logger.info(
            "%d of %d files have their results in %s and are left as they are", done, len(pending) + done, output_dir
        )
    unwritten: dict[str, list[Path]] = {}
    for result, image in sources.items():
        if image in pending and not overwrite and not result.exists() and read_header(image).pages > 1:
            unwritten.setdefault(image, []).append(result)
    finished = {image: _finished_pages(image, stacks, made_by) for image, stacks in unwritten.items()}
    return [s for s in sections if s["image"] in pending and s.get("page", 0) not in finished.get(s["image"], ())]


def _require_same(finished: Mapping[Path, str], output_dir: str | Path, made_by: Mapping[str, Any]) -> None:
    """Refuse to keep results, given with their images, that are of another file, or made in another way."""
    records = Records(output_dir)
    known = {result: record for result in finished if (record := records.made_of(result)) is not None}
    wanted = {image: made_of(image, made_by) for image in {finished[result] for result in known}}
    for result, record in known.items():
        image = finished[result]
        if differing := differences(record, wanted[image]):
            raise FileExistsError(
                f"{result}: must be of {image} as it is now, and made with these weights and settings, but got one of "
                f"another {', '.join(keys[-1] for keys in differing)}; choose another --output_dir, or make all "
                "results anew by --overwrite True, those that were corrected by hand too"
            )
    unknown = [result for result in finished if result not in known]
    if unknown:
        logger.warning(
            "%s%s: there is no record of what made it, or it was changed since; it is left as it is, whatever the "
            "weights and settings are now. --overwrite True makes all results anew",
            unknown[0],
            f" and {len(unknown) - 1} more" if len(unknown) > 1 else "",
        )


def _finished_pages(image: str, results: Sequence[Path], made_by: Mapping[str, Any] | None) -> set[int]:
    """Pages of a stack whose results are all there, but for one, with which the stack is put together."""
    stores = [PageStore(result, made_of(image, made_by)) for result in results]
    finished = set.intersection(*(store.pages() for store in stores))
    if finished:
        logger.info("%s: %d of its pages were segmented before and are left as they are", image, len(finished))
    elif any(PageStore(result).pages() and not store.fits() for result, store in zip(results, stores, strict=True)):
        raise FileExistsError(
            f"{image}: its pages must be segmented with the settings of those that are finished, and of the same file, "
            "but one of both has changed; go on with what it was, choose another --output_dir, or begin anew by "
            "--overwrite True"
        )
    return finished - {read_header(image).pages - 1}


def made_of(image: str, made_by: Mapping[str, Any] | None) -> dict[str, Any]:
    """Tell what the pages of a result depend on.

    It looks at every chunk of a volume, so it is for what is done once in a run.

    Args:
        image: file of the sections.
        made_by: what results depend on besides, such as weights and thresholds.

    Returns:
        Both, as JSON holds them.

    Raises:
        FileNotFoundError: there is no such file.
    """
    return json.loads(json.dumps({"source": content_state(image), "made_by": made_by}, default=str))
