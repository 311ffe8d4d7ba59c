"""Let torchvision be imported where its compiled operators cannot be loaded.

Python runs this file at its start, when its folder is on PYTHONPATH. MONAI Label imports torchvision for its pictures
and never calls its operators; but a torchvision that was built for CUDA, beside a PyTorch that was not, cannot even be
imported, as it describes operators that then do not exist. They are given names here, and nothing else.
"""

import importlib.abc
import importlib.machinery
import sys
from pathlib import Path

OPERATORS = ["nms", "qnms", "qroi_align", "deform_conv2d", "_deform_conv2d_backward"] + [
    f"{prefix}{pooling}{suffix}"
    for pooling in ("roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool")
    for prefix, suffix in (("", ""), ("_", "_backward"))
]


class _BeforeTorchvision(importlib.abc.MetaPathFinder):
    """Acts when torchvision is imported, as importing torch at each start of Python would cost seconds."""

    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            if spec is not None and not _loads(Path(spec.origin).parent):
                _name_operators()
        return None


def _loads(package: Path) -> bool:
    import torch

    try:
        for library in package.glob("_C*.so"):
            torch.ops.load_library(library)
    except OSError:
        return False
    return True


def _name_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for operator in OPERATORS:
        library.define(f"{operator}(Tensor input) -> Tensor")
    # operators live as long as the library that defines them
    sys.modules[__name__].library = library


sys.meta_path.insert(0, _BeforeTorchvision())
