"""Segmentation of a volume in blocks."""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigWorkflow

from scripts.io import (
    Section,
    find_sections,
    is_volume,
    lock,
    naming,
    parse_pixel_size,
    parse_section_thickness,
)
from scripts.io.own_labels import require_no_labels_of_others, require_own_labels
from scripts.io.records import differences
from scripts.io.volume import Volume
from scripts.weights import settings_of, sha256_of

from .blocks import check_block_size, reserve_marks
from .estimate import estimate
from .job import Job, require_known, submit
from .source import Source
from .worker import work

__all__ = ["VolumeSegmentation"]

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
"""Folder of the package that workers import."""
RESTARTS = 100
"""Of a worker that was killed, before the run gives up."""
LONGEST = 24 * 3600
"""Seconds that a block may take before it is given to another worker."""


class VolumeSegmentation:
    """Segment a volume block by block, in several processes, so that a run that was stopped goes on.

    Masks are those of ``run inference``, whatever the blocks and workers: to the pixel where a block is whole sections;
    where it is a part of one, `WindowSegmentation` says what may differ. The blocks are dealt out by daisy, which
    notices workers that die and keeps in the output which blocks are done.

    Args:
        volume: an OME-Zarr image.
        output: folder of the masks, to be made, whose name ends in ``.zarr``: an OME-Zarr image too, with the
            probabilities in ``probability.zarr`` in it, if they are wanted.
        config: file of the inference.
        settings: overrides of it, such as ``use_crf``.
        num_workers: processes; 0 takes one block after the other in this process, which saves the start of another.
        block_size: sections, rows and columns of a block. Rows and columns must be multiples of the coarsest pixel of
            the pyramid, 2 for each halving, where a section is more than one block.
        pixel_size: of the sections in nanometres, one number or [x, y]; None is what the volume says.
        section_thickness: in nanometres; None is what the volume says.
        cluster: command that starts a worker elsewhere and waits for it, with ``{command}`` in it, such as
            ``sbatch --wait --wrap {command}``; None starts workers here.
        version: of OME-Zarr.
        overwrite: whether to replace what another run left.

    Raises:
        FileNotFoundError: there is no such volume.
        ValueError: it is no OME-Zarr volume, or a setting is out of range.
    """

    def __init__(
        self,
        volume: str | Path,
        output: str | Path,
        config: str | Path,
        settings: Mapping[str, Any],
        num_workers: int = 1,
        block_size: Sequence[int] = (1, 8704, 8704),
        pixel_size: float | list[float] | None = None,
        section_thickness: float | None = None,
        cluster: str | None = None,
        version: str = "0.5",
        overwrite: bool = False,
    ) -> None:
        if type(num_workers) is not int or num_workers < (1 if cluster else 0):
            least = "1 on a cluster" if cluster else "0 on"
            raise ValueError(f"workers must be a whole number from {least}, but got {num_workers!r}")
        if cluster is not None and "{command}" not in cluster:
            raise ValueError(f"cluster must have {{command}} where the worker's command goes, but got {cluster!r}")
        if not os.path.lexists(volume):
            raise FileNotFoundError(f"{volume}: no such volume")
        if not is_volume(volume):
            raise ValueError(
                f"{volume}: must be an OME-Zarr volume, a folder named *.zarr; make one by python -m bundle convert"
            )
        if "pixel_size" in settings:
            got = settings["pixel_size"]
            raise ValueError(f"pixel_size must be given by --pixel_size, but got {got!r} in --inference")
        self.output = Path(output).absolute()
        if self.output.suffix != ".zarr":
            raise ValueError(f"output_dir must be a folder named *.zarr, but got {output}")
        self.sections: list[Section] = find_sections(volume, settings.get("channel"), results=False)
        first = self.sections[0]
        self.shape = (len(self.sections), first.height, first.width)
        size = first.pixel_size_nm if pixel_size is None else tuple(parse_pixel_size(pixel_size, "pixel_size"))
        own = first.header.form.get("section_thickness_nm")
        thickness = parse_section_thickness(own if section_thickness is None else section_thickness)
        self.voxel_size = (thickness, *((None, None) if size is None else size[::-1]))
        self.settings = {**settings, "pixel_size": pixel_size}
        self.config = Path(config).absolute()
        self.num_workers = num_workers
        self.block = check_block_size(block_size, self.shape)
        self.cluster = cluster
        self.version = version
        self.overwrite = overwrite
        threads = max(1, torch.get_num_threads() // (1 if cluster else max(1, num_workers)))
        self.job = Job(str(self.config), dict(self.settings), str(Path(first.path)), str(self.output), threads)
        self.source = Source(self.job, self.block[0], first.valid)

    def identity(self) -> dict[str, Any]:
        """What the masks depend on, as JSON holds it."""
        checkpoint = self.settings.get("checkpoint")
        identity = {
            **self.source.identity(),
            "shape": self.shape,
            "config": sha256_of(self.config),
            "weights": None if checkpoint is None else sha256_of(Path(checkpoint)),
            "record": {k: v for k, v in settings_of(checkpoint).items() if k != "file"},
            "settings": {k: v for k, v in self.settings.items() if k not in ("checkpoint", "bundle_root")},
            "block_size": self.block,
            "voxel_size_nm": self.voxel_size,
            "version": self.version,
        }
        return json.loads(json.dumps(identity, default=str))

    def check(self) -> None:
        """Look at the settings, and at what an earlier run left, before anything is written.

        Raises:
            ValueError: the config does not know a setting.
            FileExistsError: the output is of a run with other settings, and `overwrite` is false, or no result at all;
                or it would be replaced, and holds labels of someone else.
            OSError: it cannot be written.
        """
        require_known(self.settings, self.config)
        if self.voxel_size[1] is None:
            logger.warning(
                "The pixel size is not known: sections are taken as they are, as if it were that of the network. State "
                "it by --pixel_size, in nanometres"
            )
        if not self.output.exists():
            return
        begun = self._begun()
        if begun is None:
            raise FileExistsError(f"{self.output}: is not of a segmentation; choose another --output_dir")
        if "record" not in begun:
            logger.warning("%s: does not say what the record of its weights was: it is taken for this one", self.output)
        differing = self._differing()
        if not self.overwrite:
            if differing:
                raise FileExistsError(
                    f"{self.output}: is of a run with another {', '.join(differing)}; choose another --output_dir, or "
                    "replace it by --overwrite True"
                )
            self.source.require_unchanged()
        elif differing or self.source.changed():
            require_no_labels_of_others(self.output)
        else:  # the masks stay, and are numbered anew
            require_own_labels(self.output, "mitochondria", "choose another --output_dir")

    def run(self) -> None:
        """Segment what is not segmented yet.

        Raises:
            OSError: another run writes into the output, or it cannot be written.
            RuntimeError: sections failed; the message names them, and the others are done.
        """
        with self._locked():
            if self.output.exists() and (self._differing() or self.source.changed()):
                require_no_labels_of_others(self.output)
                shutil.rmtree(self.output)
            with naming(self.output):
                masks = self.create(self.output, identity=self.identity())
                self.source.keep()
            if not masks.own()["complete"]:
                self._segment()
                shutil.rmtree(self.job.measured, ignore_errors=True)
                masks.complete()
                if self.settings.get("save_probability"):
                    Volume(self.output / "probability.zarr").complete()
        logger.info("%s: all %d sections are segmented", self.output, len(self.sections))

    def estimate(self) -> str:
        """Time one block, and tell what the run costs.

        Returns:
            Text for a person.

        Raises:
            RuntimeError: from the config, with the cause chained.
        """
        return estimate(self)

    def check_objects(self, config: str | Path, settings: Mapping[str, Any]) -> None:
        """Look at the settings of `measure`, before hours are spent on the masks.

        Args:
            config: file of the objects.
            settings: overrides of it.

        Raises:
            ValueError: the config does not know one, or probabilities are to be smoothed that are not kept.
        """
        require_known(settings, Path(config))
        if settings.get("smoothing") and not self.settings.get("save_probability"):
            raise ValueError(f"smoothing {settings['smoothing']!r} needs the probabilities: --save_probability True")

    def measure(self, config: str | Path, settings: Mapping[str, Any]) -> None:
        """Number the mitochondria through the volume, and measure them, as ``run objects`` does.

        The numbers are written as labels of the output, the tables into ``objects`` in it.

        Args:
            config: file of the objects.
            settings: overrides of it.

        Raises:
            RuntimeError: from the config, with the cause chained.
        """
        thickness, *size = self.voxel_size
        workflow = ConfigWorkflow(
            str(config),
            workflow_type="train",
            run_id="objects",
            logging_file=False,
            bundle_root=self.settings["bundle_root"],
            **{
                "dataset_dir": str(self.output / "probability.zarr" if settings.get("smoothing") else self.output),
                "sections_dir": self.job.volume,
                "output_dir": str(self.output / "objects"),
                "labels_of": str(self.output),
                "name": "mitochondria",
                "channel": self.settings.get("channel"),
                "checkpoint": self.settings.get("checkpoint"),
                "pixel_size": None if size[0] is None else size[::-1],
                "section_thickness": thickness,
                "overwrite": self.overwrite,
                **settings,
            },
        )
        workflow.initialize()
        with self._locked():
            workflow.run()

    def command(self) -> str:
        """The command line that starts a worker, here or, by `cluster`, elsewhere."""
        own = shlex.join([sys.executable, "-m", "scripts.volumes.worker", str(self.output / ".job.json")])
        own = f"cd {shlex.quote(str(ROOT))} && {own}"
        return own if self.cluster is None else self.cluster.replace("{command}", shlex.quote(own))

    def _begun(self) -> dict[str, Any] | None:
        """The identity of the run that made the output, None where it is no result."""
        try:
            return Volume(self.output).own().get("identity")
        except (OSError, ValueError, KeyError):
            return None

    def _differing(self) -> list[str]:
        """What of the identity is another one in the run that made the output."""
        found, wanted = self._begun() or {}, self.identity()
        if "record" not in found:  # of a version that did not look at it
            del wanted["record"]
        return ["#".join(keys) for keys in differences(found, wanted)]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let no second run write into the output; the lock ends with the process, however it ends."""
        self.output.parent.mkdir(parents=True, exist_ok=True)
        path = self.output.parent / f".{self.output.name}.lock"
        descriptor = lock(path, f"{self.output}: another run writes into it")
        try:
            yield
        finally:
            os.close(descriptor)

    def create(self, output: Path, **own: Any) -> Volume:
        """Make the volumes of results that are not there.

        Args:
            output: folder of the masks.
            **own: what the attributes of the masks say besides.

        Returns:
            The masks.
        """
        block = None if self.block[1:] == self.shape[1:] else self.block[1:]
        options = {"version": self.version, "result": True, "block": block}
        if not output.exists():
            Volume.create(output, self.shape, "uint8", self.voxel_size, average=False, **options, **own)
        scores = output / "probability.zarr"
        if self.settings.get("save_probability") and not scores.exists():
            Volume.create(scores, self.shape, "float32", self.voxel_size, **options)
        return Volume(output)

    def _segment(self) -> None:
        import daisy.v2 as daisy
        from daisy.logging import set_log_basedir

        marks = self.output / ".blocks"
        with naming(self.output):
            self.job.save(self.output / ".job.json")
            if not marks.exists():
                reserve_marks(marks, self.shape, self.block)
        shutil.rmtree(self.job.errors, ignore_errors=True)
        set_log_basedir(str(self.output / ".logs"))
        local = partial(work, path=str(self.output / ".job.json"))
        block = daisy.Roi((0, 0, 0), self.block)
        task = daisy.Task(
            "segmenting",
            daisy.Roi((0, 0, 0), self.shape),
            block,
            block,
            process_function=local if self.cluster is None else partial(submit, self.command()),
            read_write_conflict=False,
            fit="shrink",
            max_workers=max(1, self.num_workers),
            max_retries=1,
            max_worker_restarts=RESTARTS,
            timeout=LONGEST,
            tracking_path=str(marks),
        )
        where = {"host": None if self.cluster else "127.0.0.1", "multiprocessing": self.num_workers > 0}
        state = daisy.run_blockwise(task, return_states=True, summary=False, **where)["segmenting"]
        if state.completed_count == state.total_block_count:
            return
        causes = self.job.failures() or [str(state.last_worker_error or "workers died")]
        raise RuntimeError(
            f"{self.output}: {state.total_block_count - state.completed_count} of {state.total_block_count} blocks "
            f"failed, the others are done; call it again when this is mended: {'; '.join(causes[:5])}"
        )
