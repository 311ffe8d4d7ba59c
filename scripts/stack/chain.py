"""The chain of a stack: each section registered with the nearest that are aligned already, outward from a reference."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from scripts.registration import (
    Neighbour,
    PairRegistration,
    RegistrationError,
    Transformation,
    affine_between,
    background_mask,
    is_noise,
    warp,
)

from .images import SectionImages
from .report import SectionReport, Status
from .store import Store

__all__ = ["Chain", "Link", "interpolate_missing"]

logger = logging.getLogger(__name__)

TRIALS = 2
"""Sections on either side of which one must fit a section that is to be the reference."""


@dataclass
class Link:
    """A section in the chain.

    Attributes:
        transformation: into the frame of the reference, where sections are registered.
        report: what is said of it.
    """

    transformation: Transformation
    report: SectionReport


class Chain:
    """Registers the sections of a stack.

    Args:
        images: the sections.
        names: of them.
        locations: of them, for messages.
        registration: registers one section.
        neighbours: aligned sections with which a section is registered.
        store: keeps what is found, so that a run that was stopped goes on.
        num_workers: threads; two follow the two ways from the reference at once.
    """

    def __init__(
        self,
        images: SectionImages,
        names: Sequence[str],
        locations: Sequence[str],
        registration: PairRegistration,
        neighbours: int,
        store: Store,
        num_workers: int = 1,
    ) -> None:
        self.images = images
        self.names = names
        self.locations = locations
        self.registration = registration
        self.neighbours = neighbours
        self.store = store
        self.num_workers = num_workers

    def run(self, reference: int | None = None) -> tuple[list[Link], int]:
        """Register all sections.

        Args:
            reference: index of the section whose frame is that of the stack; None takes the nearest to the middle that
                shows tissue, with which a section close to it can be registered.

        Returns:
            A link for each section, and the index of the reference.

        Raises:
            ValueError: there is no such reference, or none of the other sections could be registered.
        """
        count = len(self.names)
        with tqdm(total=count, desc="registering", unit="section") as progress:
            reference, link = self.reference_link(reference)
            links = {reference: link}
            progress.update()
            ways = range(reference + 1, count), range(reference - 1, -1, -1)
            failed = threading.Event()
            with ThreadPoolExecutor(self.num_workers) as pool:
                followed = [
                    pool.submit(self._follow, way, reference, links[reference], progress, failed) for way in ways
                ]
                try:
                    for future in followed:
                        links |= future.result()
                except BaseException:
                    failed.set()
                    raise
        self._require_some_registered(links, reference)
        return [links[index] for index in range(count)], reference

    def _follow(
        self, way: Sequence[int], reference: int, link: Link, progress: tqdm, failed: threading.Event
    ) -> dict[int, Link]:
        """Register the sections on one side of the reference; neither side needs anything of the other."""
        chain = copy.copy(self)
        chain.images = self.images.apart()
        links, near = {reference: link}, [reference]
        for index in way:
            if failed.is_set():
                break
            try:
                links[index] = chain.register(index, near, links)
            except BaseException:
                failed.set()  # the other way would go on for hours before the error is seen
                raise
            report = links[index].report
            if report.status is Status.REGISTERED:
                near = [index, *near][: self.neighbours]
            else:
                logger.warning("%s: is not registered: %s", self.locations[index], report.message)
            chain.images.forget_all_but([index, *near, reference])
            progress.update()
        return links

    def register(self, index: int, near: Sequence[int], links: Mapping[int, Link]) -> Link:
        """Register a section, or read what an earlier run found.

        Args:
            index: of the section.
            near: indices of aligned sections, the nearest first.
            links: of these.

        Returns:
            Its link; where it cannot be registered, that of the nearest.
        """
        name, neighbours = self.names[index], [self.names[i] for i in near]
        found = self.store.load_report(name)
        if found is not None and found.neighbours == neighbours:
            return Link(self.store.load_transformation(name), found)
        image, fold = self.images.reduced(index)
        # in a frame around the neighbours: along a stack the sections may wander far from the reference
        boundary = np.concatenate([links[i].transformation.boundary() for i in near])
        low = np.floor(boundary.min(axis=0))
        width, height = (int(n) for n in np.ceil(boundary.max(axis=0) - low) + 1)
        start = affine_between([links[near[0]].transformation.translated(-low)], [1.0], image.shape)
        try:
            others = [self._neighbour(i, links[i].transformation.translated(-low), (width, height)) for i in near]
            result = self.registration(image, others, start, fold)
            report = SectionReport(Status.REGISTERED, neighbours=neighbours, quality=result.quality)
            link = Link(result.transformation.translated(low), report)
        except RegistrationError as error:
            report = SectionReport(Status.NOT_REGISTERED, str(error), neighbours)
            link = Link(start.translated(low), report)
        self.store.save_link(name, link.transformation, link.report)
        return link

    def _neighbour(self, index: int, transformation: Transformation, size: tuple[int, int]) -> Neighbour:
        image, _ = self.images.reduced(index)
        aligned, valid = warp(image, transformation, size)
        background, _ = warp(background_mask(image), transformation, size, "nearest")
        return Neighbour(aligned, ~valid | background)

    def _find_reference(self) -> int:
        """The reference of an earlier run, or that nearest to the middle which is no blank or strange section."""
        for index, name in enumerate(self.names):
            report = self.store.load_report(name)
            if report is not None and report.status is Status.REFERENCE:
                return index
        count = len(self.names)
        by_distance = sorted(range(count), key=lambda i: abs(i - count // 2))
        message, noisy = "", []
        for index in by_distance:
            # blank frames of one camera may have the same noise, and so fit each other
            if is_noise(self.images.reduced(index)[0]):
                noisy.append(index)
                self.images.forget_all_but([])
                continue
            message = self._refusal(index)
            if not message:
                return index
        for index in noisy:
            message = self._refusal(index)
            if not message:
                return index
        raise ValueError(
            f"{self.locations[count // 2]}: at least one of the {count} sections must fit another one near it for the "
            f"stack to be aligned, but got: {message}"
        )

    def _refusal(self, index: int) -> str:
        """Why a section cannot be the reference, nothing if it can: it shows tissue and fits a section near it."""
        link = self._start(index)
        if link.report.status is not Status.REFERENCE:
            return link.report.message
        count = len(self.names)
        message = ""
        near = [i for d in range(1, TRIALS + 1) for i in (index + d, index - d) if 0 <= i < count]
        for other in near:
            report = self.register(other, [index], {index: link}).report
            if report.status is Status.REGISTERED:
                return ""
            message = report.message
        self.images.forget_all_but([])
        if near:
            logger.warning("%s is no reference: no section near it fits it", self.locations[index])
        return message

    def reference_link(self, index: int | None = None) -> tuple[int, Link]:
        """The reference, as an earlier run left it or from its section.

        Args:
            index: of the section; None takes the nearest to the middle that can be one.

        Returns:
            Its index and its link.

        Raises:
            ValueError: the section shows too little, or none can be the reference.
        """
        if index is None:
            index = self._find_reference()
        found = self.store.load_report(self.names[index])
        if found is not None and found.status is Status.REFERENCE:
            return index, Link(self.store.load_transformation(self.names[index]), found)
        link = self._start(index)
        if link.report.status is not Status.REFERENCE:
            raise ValueError(f"{self.locations[index]}: cannot be the reference: {link.report.message}")
        self.store.save_link(self.names[index], link.transformation, link.report)
        return index, link

    def _start(self, index: int) -> Link:
        """A section in its own frame; not as reference where it shows too little."""
        image, fold = self.images.reduced(index)
        start = Transformation.affine(image.shape, np.eye(2, 3))
        try:
            self.registration.require_tissue(image, fold)
        except RegistrationError as error:
            return Link(start, SectionReport(Status.NOT_REGISTERED, str(error)))
        # its own folds hide tissue and are cut, but nothing tells how far their sides belong apart
        return Link(start.with_fold(fold), SectionReport(Status.REFERENCE))

    def _require_some_registered(self, links: Mapping[int, Link], reference: int) -> None:
        reports = [link.report for index, link in links.items() if index != reference]
        if reports and all(report.status is Status.NOT_REGISTERED for report in reports):
            raise ValueError(
                f"{self.locations[reference]}: at least one of the other {len(reports)} sections must fit the "
                f"reference for the stack to be aligned, but got: {reports[0].message}"
            )


def interpolate_missing(links: Sequence[Link], names: Sequence[str]) -> list[Transformation]:
    """Place sections that could not be registered between their neighbours.

    Args:
        links: of the sections in order; the report of such a section gets the names of these neighbours.
        names: of the sections.

    Returns:
        The transformation of each section; of those that could not be registered, the mean of the affine parts of the
        nearest on both sides, by their distance.
    """
    transformations = [link.transformation for link in links]
    good = [i for i, link in enumerate(links) if link.report.status is not Status.NOT_REGISTERED]
    for index, link in enumerate(links):
        if link.report.status is Status.NOT_REGISTERED:
            sides = [i for i in good if i < index][-1:] + [i for i in good if i > index][:1]
            weights = [1 / abs(i - index) for i in sides]
            link.report.neighbours = [names[i] for i in sides]
            size = link.transformation.lattice.size
            transformations[index] = affine_between([transformations[i] for i in sides], weights, size)
    return transformations
