"""The process beside the viewer, so that the window answers while it works: ``python -m bundle.viewer.worker``.

Each line that it reads is a job in JSON, and each that it writes what came of it: ``step`` of ``steps`` and what
belongs to it, and at the end ``done`` or ``error``.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from typing import Any

NICENESS = 10


def _listen(requests: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)  # the window is gone, even where it was killed; what is written is complete or not there


def main() -> None:
    """Work until the window is gone."""
    os.nice(NICENESS)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to the log

    def report(**content: Any) -> None:
        answers.write(json.dumps(content) + "\n")

    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()  # before the seconds of the imports
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) - 1))  # a core is the window's
    from bundle.viewer.jobs import JOBS
    from scripts.config import first_cause

    while True:
        request = json.loads(requests.get())
        try:
            result = JOBS[request.pop("job")](report, **request)
        except Exception as error:
            cause = first_cause(error)
            report(error=str(cause) or type(cause).__name__)
        else:
            report(done=result)


if __name__ == "__main__":
    main()
