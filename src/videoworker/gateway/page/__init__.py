"""The web page of an API: make a video, watch it emerge, keep it.

- `static/` is the page: HTML, a style and ES modules, as they are written. Nothing builds them, and they load nothing
  from elsewhere. `static/form.js` makes the form from the API's JSON schema. `static/job.js` shows one job.
- `app.py` serves it before the API's own application: at `/ui/`, and at `/` where the document leaves that free.
- `routes.py` is what the page asks for, under `ui/`. Values of fields go over the wire as JSON texts, since JavaScript
  has no integers beyond 2^53, and seeds are larger.
- `estimate.py` says what a video will take, before it is asked for.

Who knows a job's id may see it, as in the documents. So the page lists no jobs but those that its browser remembers.
"""
