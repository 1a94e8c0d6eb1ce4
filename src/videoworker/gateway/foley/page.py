"""The page, and its one public event. A client of Gradio names no event, so there must be no second one in public."""

from typing import Any

import gradio as gr

from videoworker.gateway.foley.making import Maker

GENERATE = "generate"  # the name of the public event

_KEPT_SECONDS = 3600  # how long a video can be downloaded
_MOST_AT_ONCE = 1000  # events; an endpoint's queue is the one that counts

_TITLE = "Make a video with sound"

# White on the library's own orange has too little contrast to be read. So have its hints and its JSON.
_THEME = gr.themes.Default(primary_hue="blue").set(
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
)
_CSS = "body:not(.dark) :is(.value.string, .key) { color: #166534 !important; }"


def make_page(maker: Maker) -> gr.Blocks:
    async def generate(
        video_prompt: str,
        audio_prompt: str,
        duration: float,
        quality: str,
        output_format: str,
        told: dict[str, Any],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),
    ) -> str:
        inputs = {
            "video_prompt": video_prompt,
            "audio_prompt": audio_prompt,
            "duration": duration,
            "quality": quality,
            "output_format": output_format,
        }
        return await maker.make(inputs, told, (request, progress))

    async def made(told: dict[str, Any], video: str | None) -> tuple[dict[str, Any], Any]:
        return told, gr.DownloadButton(value=video, interactive=video is not None)

    async def failed(told: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        return told, gr.DownloadButton(value=None, interactive=False)

    page = gr.Blocks(title=_TITLE, analytics_enabled=False, delete_cache=(60, _KEPT_SECONDS))
    with page:
        gr.Markdown(f"# {_TITLE}")
        with gr.Row():
            with gr.Column():
                video_prompt = gr.Textbox(
                    label="Video prompt", info="What is to be seen: 1 to 500 characters", lines=3, max_length=500
                )
                audio_prompt = gr.Textbox(
                    value="",
                    label="Audio prompt",
                    info="What is to be heard; empty: what fits the picture. At most 200 characters",
                    max_length=200,
                )
                duration = gr.Number(10, minimum=1, maximum=30, label="Duration", info="Seconds: 1 to 30")
                quality = gr.Dropdown(
                    [("Low: 480p", "low"), ("Medium: 720p", "medium"), ("High: 1080p", "high")],
                    value="medium",
                    label="Quality",
                )
                output_format = gr.Dropdown([("MP4", "mp4"), ("WebM", "webm")], value="mp4", label="Output format")
                button = gr.Button("Generate video", variant="primary")
                cancel = gr.Button("Cancel")
            with gr.Column():
                video = gr.Video(label="Your video", interactive=False, buttons=[])
                download = gr.DownloadButton("Download", interactive=False)
                answer = gr.JSON(label="Details")
        told = gr.State({})
        for checked in (duration, quality, output_format):
            _leave_unchecked(checked)
        making = button.click(
            generate,
            [video_prompt, audio_prompt, duration, quality, output_format, told],
            video,
            api_name=GENERATE,
            concurrency_limit=None,
        )
        # Gradio's page runs what is for any outcome only after a success.
        making.success(made, [told, video], [answer, download], api_visibility="private", concurrency_limit=None)
        making.failure(failed, told, [answer, download], api_visibility="private", concurrency_limit=None)
        cancel.click(None, cancels=making, api_visibility="private")
    page.max_threads = _MOST_AT_ONCE
    page.queue(api_open=False, max_size=_MOST_AT_ONCE)
    return page


def _leave_unchecked(component: Any) -> None:
    """Gradio's own check would answer with an error that is not the document's, and log it with what was given."""
    component.preprocess = lambda given: given


def mounted(page: gr.Blocks, app: Any) -> None:
    """Serves the page at the app's `/`. Nothing that it does asks another server, or tells what an exception says."""
    gr.mount_gradio_app(
        app, page, "/", ssr_mode=False, run_history=False, footer_links=[], show_error=False, mcp_server=False,
        enable_monitoring=False, theme=_THEME, css=_CSS,
    )  # fmt: skip
