"""The six request formats, by name."""

from typing import Any

from videoworker.apis import cogvideox, hunyuanvideo, hunyuanvideo_1_5, hunyuanvideo_foley, local, native
from videoworker.apis.api import Api
from videoworker.apis.quoting import quoted
from videoworker.apis.validation import as_object, nearest_name
from videoworker.errors import Code, FieldProblem, JobError

APIS: dict[str, Api[Any]] = {
    module.API.name: module.API
    for module in (hunyuanvideo_foley, hunyuanvideo, hunyuanvideo_1_5, local, cogvideox, native)
}


def select(job_input: Any, default: str | None) -> Api[Any]:
    """The API that `job_input` names in `api`; else `default` (the operator's setting `API`); else `native`.

    Raises `JobError` if the input is no object, or the name is no API's. Native's `error` can give it a form.
    """
    requested = as_object(job_input).get("api")
    name = (default or native.API.name) if requested is None else requested
    if isinstance(name, str) and name in APIS:
        return APIS[name]
    allowed = f"one of: {', '.join(APIS)}"
    if isinstance(name, str) and (nearest := nearest_name(str(quoted(name)), APIS)):
        allowed += f"; did you mean {nearest}?"
    problem = FieldProblem("API (the worker's setting)" if requested is None else "api", quoted(name), allowed)
    raise JobError(Code.INVALID_FIELD, str(problem), (problem,))
