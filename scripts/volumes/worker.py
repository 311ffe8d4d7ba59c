"""A worker: a process that segments the blocks that it is given, ``python -m scripts.volumes.worker JOB``."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset

from scripts.config import first_cause
from scripts.handlers import load_weights
from scripts.io import Section, find_sections, write_text

from .job import Job
from .windows import WindowSegmentation

if TYPE_CHECKING:
    import daisy.v2 as daisy

__all__ = ["Worker", "work"]

logger = logging.getLogger(__name__)


class Worker:
    """Segments sections as ``run inference`` does, by its own config.

    Args:
        job: what is to be done.
        number: of this worker, from 0; each takes a GPU of its own where there are several.

    Attributes:
        parser: of the config, with these settings.
        usable: False when a section has failed: another worker is to be made then.

    Raises:
        RuntimeError: from the config, with the cause chained.
    """

    def __init__(self, job: Job, number: int = 0) -> None:
        self.job = job
        self.usable = True
        torch.set_num_threads(job.threads)
        parser = ConfigParser()
        parser.read_config(job.config)
        settings = {
            "dataset_dir": job.volume,
            "output_dir": job.output,
            "pending": [],
            "handlers": [],
            "main_process": False,
            "overwrite": True,
        }
        if torch.cuda.is_available():
            settings["device"] = f"$torch.device('cuda:{number % torch.cuda.device_count()}')"
        parser.update({**job.settings, **settings})
        parser.parse()
        self.parser = parser
        self.evaluator = parser.get_parsed_content("evaluator")
        self.preprocessing = parser.get_parsed_content("preprocessing")
        load_weights(parser.get_parsed_content("network"), parser.get_parsed_content("checkpoint"))
        self.sections = find_sections(job.volume, parser.get_parsed_content("channel"), results=False)
        self.windows: WindowSegmentation | None = None

    def segment(self, first: int, last: int, rows: slice | None = None, columns: slice | None = None) -> None:
        """Segment sections and write their masks.

        Args:
            first: section of the block.
            last: section after the block.
            rows: of the block; None are all.
            columns: of the block, likewise.

        Raises:
            ValueError: a section cannot be read, or its equalisation has to see it as a whole.
            OSError: a mask cannot be written.
        """
        block: list[Section] = self.sections[first:last]
        whole = (slice(0, block[0].width), slice(0, block[0].height))
        window = (columns or whole[0], rows or whole[1])
        if window != whole:
            self.windows = self.windows or WindowSegmentation(self.parser, self.sections, self.job.measured)
            for page in range(first, last):
                self.windows.segment(page, window)
            return
        self.evaluator.data_loader = DataLoader(Dataset(block, self.preprocessing), batch_size=1, num_workers=0)
        # MONAI takes the length of the data as it was when the evaluator was made, and does nothing where it was 0
        self.evaluator.state.epoch_length = len(block)
        self.evaluator.run()
        if self.evaluator.state.iteration != len(block):
            raise RuntimeError(f"{self.evaluator.state.iteration} of {len(block)} sections were segmented")

    def take(self, block: daisy.Block) -> None:
        """Segment a block; what goes wrong is kept in a file, and the worker goes on with others.

        Args:
            block: of sections.
        """
        from daisy.v2 import BlockStatus

        (first, *corner), (last, *end) = block.write_roi.begin, block.write_roi.end
        rows, columns = map(slice, corner, end)
        report = self.job.errors / f"{first:06d}_{corner[0]}_{corner[1]}.txt"
        try:
            self.segment(first, last, rows, columns)
        except Exception as error:
            self.usable = False  # an engine that was interrupted goes on where it was, and not with other data
            block.status = BlockStatus.FAILED
            logger.error("sections %d to %d from %s: %s", first, last - 1, corner, first_cause(error))
            write_text(report, f"{type(first_cause(error)).__name__}: {first_cause(error)}\n")
        else:
            report.unlink(missing_ok=True)


_worker: tuple[tuple[str, int], Worker] | None = None
"""That of the job that was written here, and then."""


def work(block: daisy.Block, path: str) -> None:
    """Segment a block in this process.

    Args:
        block: of sections.
        path: of the job.
    """
    global _worker
    job = (path, os.stat(path).st_mtime_ns)  # a process may segment one volume after the other
    if _worker is None or _worker[0] != job or not _worker[1].usable:
        from daisy.v2 import Context

        # the engine numbers the processes that it starts
        number = Context.from_env()["worker_id"] if "DAISY_CONTEXT" in os.environ else 0
        _worker = job, Worker(Job.load(path), int(number))
    _worker[1].take(block)


def main(path: str) -> None:
    """Take blocks until none are left, from the server that the environment names.

    Args:
        path: of the job.
    """
    from daisy.v2 import Client

    client = Client()
    while client.connected:
        with client.acquire_block() as block:
            if block is None:
                return
            work(block, path)


if __name__ == "__main__":
    main(sys.argv[1])
