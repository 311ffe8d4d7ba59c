"""The window's side of the process that does what takes long."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QProcess, QProcessEnvironment, Signal

from bundle.runs import ROOT

__all__ = ["WorkerProcess"]


class WorkerProcess(QObject):
    """Runs one job at a time in a process of its own, which stays for the next one.

    Signals:
        progressed: with what the job reports.
        finished: with its result.
        failed: with what went wrong, for a person.

    Args:
        log: file for what the process says of itself.
    """

    progressed = Signal(dict)
    finished = Signal(object)
    failed = Signal(str)

    def __init__(self, log: Path) -> None:
        super().__init__()
        self.log = log
        self.busy = False
        self._process: QProcess | None = None

    def start(self, job: str, **arguments: Any) -> None:
        """Begin a job.

        Args:
            job: one of `bundle.viewer.jobs.JOBS`.
            **arguments: of it, as JSON holds them.

        Raises:
            RuntimeError: another job runs.
        """
        if self.busy:
            raise RuntimeError("another step still runs")
        if self._process is None:
            self._process = self._launch()
        self.busy = True
        self._process.write((json.dumps({"job": job, **arguments}) + "\n").encode())

    def cancel(self) -> None:
        """End the job that runs, and its process: nothing more is reported of it."""
        process, self._process, self.busy = self._process, None, False
        if process is not None:
            process.blockSignals(True)
            process.kill()
            process.waitForFinished(5000)
            process.deleteLater()

    def _launch(self) -> QProcess:
        process = QProcess(self)
        environment = QProcessEnvironment.systemEnvironment()
        # the window may have been started elsewhere
        environment.insert("PYTHONPATH", os.pathsep.join([str(ROOT), environment.value("PYTHONPATH", "")]))
        process.setProcessEnvironment(environment)
        process.setStandardErrorFile(str(self.log), QProcess.OpenModeFlag.Append)
        process.readyReadStandardOutput.connect(self._read)
        process.finished.connect(self._ended)
        process.start(sys.executable, ["-m", "bundle.viewer.worker"])
        return process

    def _read(self) -> None:
        while self._process is not None and self._process.canReadLine():
            answer = json.loads(bytes(self._process.readLine().data()))
            if "done" in answer:
                self.busy = False
                self.finished.emit(answer["done"])
            elif "error" in answer:
                self.busy = False
                self.failed.emit(answer["error"])
            else:
                self.progressed.emit(answer)

    def _ended(self) -> None:
        was, self.busy, self._process = self.busy, False, None
        if was:
            self.failed.emit(f"the process ended before its work: {self.log} says why; there may be too little memory")
