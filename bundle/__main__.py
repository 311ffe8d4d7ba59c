"""``python -m bundle <command>``."""

from __future__ import annotations

import sys

import fire

from bundle.active_learning import active_learning
from bundle.curves import curves
from bundle.data import combine, epfl, sbem, small, vnc
from bundle.evaluate import evaluate
from bundle.finetune import finetune
from bundle.label import label
from bundle.leave_one_out import leave_one_out
from bundle.pack import pack
from bundle.phantom import phantom
from bundle.pixel_size import pixel_size
from bundle.ship import ship
from bundle.table1 import table1
from bundle.tune_crf import tune_crf
from bundle.verify import verify
from scripts.settings import first_cause

try:
    from bundle.registration import registration
    from bundle.synthetic import synthetic
except ModuleNotFoundError as error:
    # MONAI Label's environment has no OpenCV
    if error.name != "cv2":
        raise
    registration = synthetic = None

COMMANDS = {
    "active_learning": active_learning,
    "curves": curves,
    "data": {"combine": combine, "epfl": epfl, "sbem": sbem, "small": small, "vnc": vnc},
    "evaluate": evaluate,
    "finetune": finetune,
    "label": label,
    "leave_one_out": leave_one_out,
    "pack": pack,
    "phantom": phantom,
    "pixel_size": pixel_size,
    "ship": ship,
    "table1": table1,
    "tune_crf": tune_crf,
    "verify": verify,
}
if registration is not None:
    COMMANDS |= {"registration": registration, "synthetic": synthetic}


def main() -> None:
    """Run the command named on the command line; an error the user can mend ends as one line, not as a traceback."""
    try:
        fire.Fire(COMMANDS, name="bundle")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except RuntimeError as error:  # MONAI's, around what went wrong in a config
        if error.__cause__ is None:
            raise
        sys.exit(f"error: {first_cause(error)}")


if __name__ == "__main__":
    main()
