"""Lists of sections and their files."""

from .image_io import (
    FORMATS,
    PICTURES,
    SectionInfo,
    read_affine,
    read_info,
    read_section,
    split_suffix,
    write_atomically,
    write_json,
    write_section,
)
from .labels import LABEL_FORMATS, binarize_label
from .pixel_size import check_pixel_sizes, parse_pixel_size, pixel_size_of
from .sections import (
    check_sections,
    find_sections,
    hold_out,
    load_sections,
    next_section,
    pending_sections,
    require_writable,
    result_path,
)

__all__ = [
    "FORMATS",
    "LABEL_FORMATS",
    "PICTURES",
    "SectionInfo",
    "binarize_label",
    "check_pixel_sizes",
    "check_sections",
    "find_sections",
    "hold_out",
    "load_sections",
    "next_section",
    "parse_pixel_size",
    "pending_sections",
    "pixel_size_of",
    "read_affine",
    "read_info",
    "read_section",
    "require_writable",
    "result_path",
    "split_suffix",
    "write_atomically",
    "write_json",
    "write_section",
]
