"""MONAI Label's server, with a reason in its answers when something is wrong."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse
from monailabel.app import app
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException, MONAILabelException
from monailabel.interfaces.utils.app import app_instance
from starlette.middleware.base import RequestResponseEndpoint
from starlette.responses import Response

from bundle.label.serve import NO_LABELS
from scripts.config import first_cause

__all__ = ["app"]

STATUS = {
    ImageNotFoundException: 404,
    LabelNotFoundException: 404,
    MONAILabelException: 400,
    FileNotFoundError: 404,
    ValueError: 400,
    TypeError: 400,
}
"""Of answers, by the kind of error; whatever else goes wrong is the server's fault."""


def explain(request: Request, error: Exception) -> JSONResponse:
    """Answer with the first cause of an error."""
    cause = first_cause(error)
    status = next((STATUS[kind] for kind in type(cause).__mro__ if kind in STATUS), 500)
    return JSONResponse({"detail": getattr(cause, "msg", None) or f"{cause}" or type(cause).__name__}, status)


@app.middleware("http")
async def refuse_training_in_vain(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Answer at once where a training would fail for want of labels, not only in its log."""
    if request.method == "POST" and request.url.path.startswith("/train/"):
        model = request.url.path.removeprefix("/train/").strip("/")
        instance = app_instance()
        if model and model not in instance.info()["trainers"]:
            return JSONResponse({"detail": f"there is no model {model!r} to train"}, 404)
        if not instance.datastore().datalist():
            return JSONResponse({"detail": NO_LABELS}, 400)
    return await call_next(request)


for kind in (RuntimeError, *STATUS, Exception):
    app.add_exception_handler(kind, explain)
