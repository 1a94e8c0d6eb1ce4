"""The documented HTTP APIs over any endpoint that speaks RunPod's job API: RunPod itself, or ours on one machine.

A request goes through these files:

- `apis/<name>.py`, an API's HTTP form: reads the request and writes the document's answers. It is
  `FORM = HttpForm(api, port, app)`, where `app(service)` makes an ASGI application whose paths are the document's.
  `apis/__init__.py` lists the forms. `apis/form.py` has what forms in JSON share.
- `service.py`, all that a form can ask for, narrowed to its API:
  `submit(job_input, Wish(name, extra, most_queued)) -> Job`, `find(job_id)`, `find_named(file_name)`, `page(Query)`,
  `counts()`, `cancel(job_id)`, `delete(job_id, states)`, `await result(job_id)`, `video(job, request)`, `health()`,
  `estimate(request)`; and a job in the document's words: `progress(job)`, `answer(job, url)`, `error(job)`.
- `jobs.py`, the table: a job is written there before the endpoint hears of it. `extra` is what a form keeps with a job.
- `follower.py`, the one loop that sees every job to its end, by `pace.py`. It calls `endpoint.py`, and `outcome.py`
  reads what it says.
- `videos.py`, the bytes: in `files.py`'s folder or in `bucket.py`'s bucket.
- `page/` is the web page of an API, and what it asks for.
- `app.py` and `server.py` put it together; `links.py` makes absolute URLs; `health.py` and `estimates.py` say what is
  known of the workers and how long a job will take.

A caller's question is answered from the database and never passed through. A job is "completed" only once its bytes are
here. Nothing here imports torch.
"""
