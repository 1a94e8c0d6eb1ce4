"""The Gradio interface of the `hunyuanvideo-foley` API.

- `app.py` puts it together. `page.py` is the page: its inputs, its outputs, and its one public event.
- `making.py` makes the video of that event: from the inputs to a file that Gradio serves for an hour.
- `gate.py` stands before Gradio: which calls pass, and which of them count. `rates.py` counts them.
- `sessions.py` knows who still listens. A session whose stream has ended cannot get its video any more.

Gradio sees neither the database nor the bucket. It is imported here only, and this package only if the API is served.
"""
