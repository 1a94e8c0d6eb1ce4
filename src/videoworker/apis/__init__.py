"""The six request formats, by name, and the choice among them."""

from typing import Any

from videoworker.apis import cogvideox, hunyuanvideo, hunyuanvideo_1_5, hunyuanvideo_foley, local, native
from videoworker.apis.api import Api
from videoworker.apis.given import shown
from videoworker.apis.validation import as_object, nearest_name
from videoworker.errors import Code, FieldProblem, JobError

APIS: dict[str, Api[Any]] = {
    module.API.name: module.API
    for module in (hunyuanvideo_foley, hunyuanvideo, hunyuanvideo_1_5, local, cogvideox, native)
}


def select(job_input: Any, default: str | None) -> Api[Any]:
    """The API that `job_input` names in `api`; else `default` (the operator's setting `API`); else `native`.

    Raises `JobError` for an input that is no object and for a name that is no API; native's `error` can tell it.
    """
    named = as_object(job_input).get("api")
    name = (default or native.API.name) if named is None else named
    if isinstance(name, str) and name in APIS:
        return APIS[name]
    allowed = f"one of: {', '.join(APIS)}"
    if isinstance(name, str) and (nearest := nearest_name(str(shown(name)), APIS)):
        allowed += f"; did you mean {nearest}?"
    problem = FieldProblem("API (the worker's setting)" if named is None else "api", shown(name), allowed)
    raise JobError(Code.INVALID_FIELD, str(problem), (problem,))
