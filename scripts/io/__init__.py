"""Files of sections: finding, reading, checking and writing them."""

from .active_learning import next_section
from .checks import check_sections
from .datalist import load_sections
from .discovery import find_sections
from .files import keep_sockets_short, require_writable, write_atomically, write_json
from .formats import FORMATS, PICTURES, WRITTEN, split_suffix
from .holdout import hold_out
from .labels import LABEL_FORMATS, binarize_label
from .outputs import PageStore, pending_sections, result_path
from .pixel_size import check_pixel_sizes, parse_pixel_size, pixel_size_of
from .reading import read_header, read_section
from .section import Header, Section
from .writing import write_section

__all__ = [
    "FORMATS",
    "LABEL_FORMATS",
    "PICTURES",
    "WRITTEN",
    "Header",
    "PageStore",
    "Section",
    "binarize_label",
    "check_pixel_sizes",
    "check_sections",
    "find_sections",
    "hold_out",
    "keep_sockets_short",
    "load_sections",
    "next_section",
    "parse_pixel_size",
    "pending_sections",
    "pixel_size_of",
    "read_header",
    "read_section",
    "require_writable",
    "result_path",
    "split_suffix",
    "write_atomically",
    "write_json",
    "write_section",
]
