"""Files of sections: finding, reading, checking and writing them."""

from .active_learning import select_query
from .checks import check_sections, read_label, read_mask
from .datalist import ALIGNED, ALIGNED_LIST, ALIGNED_SETTINGS, load_sections, read_list
from .discovery import find_sections
from .files import keep_sockets_short, lies_in, lock, naming, require_writable, write_atomically, write_json, write_text
from .formats import FORMATS, IMAGE_2D_SUFFIXES, MARK, WRITTEN, is_volume, section_name, split_suffix
from .holdout import holdout_split
from .labels import IGNORE_INDEX, LABEL_FORMATS, binarize_label
from .outputs import PageStore, made_of, result_path, unfinished_sections, write_result
from .pixel_size import (
    check_pixel_sizes,
    parse_pixel_size,
    parse_section_thickness,
    pixel_size_of,
    same_pixel_size,
    with_pixel_size,
)
from .reading import content_state, file_state, read_header, read_section
from .section import Header, Section
from .writing import write_section

__all__ = [
    "ALIGNED",
    "ALIGNED_LIST",
    "ALIGNED_SETTINGS",
    "FORMATS",
    "IGNORE_INDEX",
    "IMAGE_2D_SUFFIXES",
    "LABEL_FORMATS",
    "MARK",
    "WRITTEN",
    "Header",
    "PageStore",
    "Section",
    "binarize_label",
    "check_pixel_sizes",
    "check_sections",
    "content_state",
    "file_state",
    "find_sections",
    "holdout_split",
    "is_volume",
    "keep_sockets_short",
    "lies_in",
    "load_sections",
    "lock",
    "made_of",
    "naming",
    "parse_pixel_size",
    "parse_section_thickness",
    "pixel_size_of",
    "read_header",
    "read_label",
    "read_list",
    "read_mask",
    "read_section",
    "require_writable",
    "result_path",
    "same_pixel_size",
    "section_name",
    "select_query",
    "split_suffix",
    "unfinished_sections",
    "with_pixel_size",
    "write_atomically",
    "write_json",
    "write_result",
    "write_section",
    "write_text",
]
