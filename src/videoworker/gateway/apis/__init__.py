"""The APIs that the gateway serves, by name. Each has a file here: its HTTP form."""

from videoworker.gateway.apis import cogvideox, hunyuanvideo, hunyuanvideo_1_5, hunyuanvideo_foley, local, openai
from videoworker.gateway.apis.form import HttpForm

_ALL = (
    hunyuanvideo.FORM,
    hunyuanvideo_1_5.FORM,
    local.FORM,
    cogvideox.FORM,
    hunyuanvideo_foley.FORM,
    openai.FORM,
)
FORMS: dict[str, HttpForm] = {form.api.name: form for form in _ALL}
