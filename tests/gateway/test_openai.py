"""The protocol of the `openai` client's `videos`, by that client and by others that speak it."""

import io
import json
from typing import Any

import openai
import pytest
from PIL import Image

from bench.servers.worker import VIDEO, FakeWorker, asked
from tests.gateway.conftest import Start
from tests.gateway.running_gateway import FaultyEndpoint, GatewayHere
from videoworker.errors import Code, JobError

# The client says so of every method: the service for which it was made has ended.
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API")

UNKNOWN = "550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture
def gateway(shared: Start) -> GatewayHere:
    return shared("openai")


@pytest.fixture
def client(gateway: GatewayHere) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0)


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "PNG")
    return buffer.getvalue()


def completed(gateway: GatewayHere, worker: FakeWorker, video_id: str) -> dict[str, Any]:
    worker.finish(worker.take())
    return gateway.until(f"/v1/videos/{video_id}", status="completed")


def test_whole_way(gateway: GatewayHere, client: openai.OpenAI, worker: FakeWorker) -> None:
    """What the client's every method does."""
    more = {"num_frames": 25, "fps": 8, "num_inference_steps": 4, "guidance_scale": 1.5, "negative_prompt": "rain"}
    made: Any = client.videos.create(
        prompt="A red star",
        model="sketch",
        seconds="4",
        size="256x192",  # type: ignore[arg-type]
        input_reference=("first.png", picture(), "image/png"),
        extra_body=more | {"seed": 7, "user": "me", "audio": {"prompt": "wind", "seed": 3}},
    )
    assert (made.object, made.status, made.progress, made.model) == ("video", "queued", 0, "sketch")
    assert (made.seconds, made.size, made.prompt) == ("3.125", "256x192", "A red star")
    assert (made.error, made.completed_at, made.remixed_from_video_id) == (None, None, None)
    job = worker.take()
    image = job["input"].pop("image")
    assert image.startswith("data:image/png;base64,")
    assert asked(job) == {
        "api": "native",
        "prompt": "A red star",
        "model": "sketch",
        "width": 256,
        "height": 192,
        "seed": 7,
        "audio": {"prompt": "wind", "seed": 3},
        **more,
    }
    worker.tell(job, 0.657)
    running = gateway.until(f"/v1/videos/{made.id}", status="in_progress", progress=65)
    assert running["created_at"] == made.created_at
    worker.finish(job)
    done: Any = client.videos.poll(made.id)
    assert (done.status, done.progress, done.size, done.seconds, done.seed) == ("completed", 100, "64x64", "1", 7)
    assert done.completed_at >= done.created_at and done.inference_time_s == 12.0
    assert client.videos.download_content(made.id).read() == VIDEO
    assert gateway.head(f"/v1/videos/{made.id}/content").headers["Content-Length"] == str(len(VIDEO))
    deleted = client.videos.delete(made.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (made.id, True, "video.deleted")
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(made.id)


def test_create_and_poll(gateway: GatewayHere, client: openai.OpenAI, worker: FakeWorker) -> None:
    """The header says when to ask again. The model's own size and length are told before it is made."""
    waiting = gateway.post("/v1/videos", {"prompt": "a star"})
    assert int(waiting.headers["openai-poll-after-ms"]) > 0
    width, _, height = waiting.json()["size"].partition("x")
    assert int(width) > 0 and int(height) > 0 and float(waiting.json()["seconds"]) > 0
    worker.fail(worker.take(), JobError(Code.OUT_OF_MEMORY, "It does not fit."))
    failed = client.videos.poll(waiting.json()["id"])
    assert failed.status == "failed" and failed.error is not None
    assert (failed.error.code, failed.error.message) == ("out_of_memory", "It does not fit.")
    with pytest.raises(openai.NotFoundError, match="failed"):
        client.videos.download_content(failed.id)


def test_list(gateway: GatewayHere, client: openai.OpenAI) -> None:
    """The client goes from page to page by itself."""
    ids = [gateway.post("/v1/videos", {"prompt": f"star {number}"}).json()["id"] for number in range(5)]
    assert [video.id for video in client.videos.list(limit=2)] == ids[::-1]
    assert [video.id for video in client.videos.list(limit=2, order="asc")] == ids
    page = gateway.get(f"/v1/videos?limit=2&after={ids[4]}").json()
    assert (page["object"], page["first_id"], page["last_id"], page["has_more"]) == ("list", ids[3], ids[2], True)
    assert gateway.get("/v1/videos?after=none").json()["data"] == []
    for query in ("limit=0", "limit=many", "order=up"):
        assert gateway.get(f"/v1/videos?{query}").json()["error"]["param"] == query.partition("=")[0]


def test_remix(gateway: GatewayHere, client: openai.OpenAI, worker: FakeWorker) -> None:
    """All but the prompt is the same, the drawn seed too."""
    base = gateway.post("/v1/videos", {"prompt": "a star", "size": "256x192", "num_frames": 9}).json()["id"]
    with pytest.raises(openai.BadRequestError, match="completed"):
        client.videos.remix(base, prompt="a tree")
    completed(gateway, worker, base)
    remixed = client.videos.remix(base, prompt="a tree")
    assert remixed.remixed_from_video_id == base
    assert asked(worker.take()) == {
        "api": "native",
        "prompt": "a tree",
        "width": 256,
        "height": 192,
        "num_frames": 9,
        "seed": 7,
    }
    for body in ({}, {"prompt": ""}, {"prompt": "a", "seed": 1}):
        assert gateway.post(f"/v1/videos/{base}/remix", body).status_code == 400


def test_remix_without_its_picture(gateway: GatewayHere, client: openai.OpenAI, worker: FakeWorker) -> None:
    """A large picture is not kept with the job, so there is no remix of it."""
    image = "data:image/png;base64," + "A" * 40_000
    base = gateway.post("/v1/videos", {"prompt": "a star", "input_reference": {"image_url": image}}).json()["id"]
    completed(gateway, worker, base)
    with pytest.raises(openai.BadRequestError, match="image"):
        client.videos.remix(base, prompt="a tree")


URL = "https://a.page/star.png"
SAME: list[dict[str, Any]] = [
    {"input_reference": {"image_url": URL}},
    {"image_reference": json.dumps({"image_url": URL})},
    {"reference_url": URL},
    {"input_reference": URL},
    {"extra_body": {"image": URL}},
    {"extra_body": json.dumps({"image": URL}), "extra_params": "{}"},
]


def test_pictures_names(gateway: GatewayHere, worker: FakeWorker) -> None:
    """Other servers and clients have other names for it."""
    for fields in SAME:
        gateway.post("/v1/videos", {"prompt": "a star"} | fields).raise_for_status()
        assert worker.take()["input"]["image"] == URL
    parts = {"prompt": (None, "a star"), "input_reference[image_url]": (None, URL)}
    gateway.post("/v1/videos", files=parts).raise_for_status()
    assert worker.take()["input"]["image"] == URL


def test_fields_of_others(gateway: GatewayHere, worker: FakeWorker) -> None:
    """As SGLang and vLLM-Omni have them, in JSON and packed into a form."""
    fields = {"width": 256, "height": 192, "flow_shift": 3.5, "low_vram": True, "generate_sound": True, "seed": None}
    meant = {"api": "native", "prompt": "a star", "duration": 2.0, "audio": {}} | fields
    del meant["generate_sound"], meant["seed"]
    gateway.post("/v1/videos", {"prompt": "a star", "seconds": "2"} | fields).raise_for_status()
    assert asked(worker.take()) == meant
    form = {"prompt": (None, "a star"), "seconds": (None, "2"), "extra_body": (None, json.dumps(fields))}
    gateway.post("/v1/videos", files=form).raise_for_status()
    assert asked(worker.take()) == meant


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"prompt": ""}, "prompt"),
    ({"seconds": "long"}, "seconds"),
    ({"seconds": 61}, "seconds"),
    ({"seconds": "4", "duration": 4}, "seconds"),
    ({"size": "1x1"}, "size"),
    ({"size": "large"}, "size"),
    ({"size": "256x192", "width": 320}, "size"),
    ({"width": 256}, "height"),
    ({"model": "sora-2"}, "model"),
    ({"true_cfg_scale": 3}, "true_cfg_scale"),
    ({"num_frames": "many"}, "num_frames"),
    ({"generate_sound": "loud"}, "generate_sound"),
    ({"input_reference": {"file_id": "file-1"}}, "input_reference"),
    ({"input_reference": URL, "image": URL}, "input_reference"),
    ({"extra_body": "{"}, "extra_body"),
    ({"extra_body": "[]"}, "extra_body"),
    ({"extra_body": {"output_quality": 3}}, "output_quality"),
]


def test_wrong_field(gateway: GatewayHere, endpoint: FaultyEndpoint) -> None:
    """It is named as the caller named it, in JSON and in a form."""
    for change, field in WRONG:
        fields = {"prompt": "a star"} | change
        parts = {name: (None, value if isinstance(value, str) else json.dumps(value)) for name, value in fields.items()}
        for answer in (gateway.post("/v1/videos", fields), gateway.post("/v1/videos", files=parts)):
            assert answer.status_code == 400, (change, answer.text)
            error = answer.json()["error"]
            assert (error["param"], error["type"]) == (field, "invalid_request_error"), change
            assert field in error["message"].lower() and error["code"]
    strict = gateway.post("/v1/videos", {"prompt": "a star", "seed": False})
    assert strict.json()["error"]["param"] == "seed"
    assert endpoint.faults.count("POST run") == 0


def test_other_requests(gateway: GatewayHere, client: openai.OpenAI, endpoint: FaultyEndpoint) -> None:
    for video_id in (UNKNOWN, "x", "%00", "..%2fx"):
        answer = gateway.get(f"/v1/videos/{video_id}")
        assert answer.status_code == 404 and answer.json()["error"]["message"]
    for path in ("edits", "extensions", "characters"):
        refused = gateway.post(f"/v1/videos/{path}", {})
        assert refused.status_code == 404 and path in refused.json()["error"]["message"]
    assert gateway.post("/v1/videos", data="{").status_code == 400
    assert gateway.post("/v1/videos", []).json()["error"]["message"]
    assert gateway.post("/v1/videos", files={"prompt": ("p", bytes(21_000_000))}).status_code == 413
    text = gateway.post("/v1/videos", files={"prompt": (None, "a star"), "input_reference": ("a.png", b"text")})
    assert (text.status_code, text.json()["error"]["param"]) == (400, "input_reference")
    with pytest.raises(openai.BadRequestError, match="variant"):
        client.videos.download_content(UNKNOWN, variant="thumbnail")
    assert endpoint.faults.count("POST run") == 0


def test_models(client: openai.OpenAI) -> None:
    assert "sketch" in [model.id for model in client.models.list()]
    assert client.models.retrieve("sketch").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("sora-2")


def test_no_endpoint(start: Start) -> None:
    gateway = start("openai", endpoint_url="http://127.0.0.1:1/v2/none")
    refused = gateway.post("/v1/videos", {"prompt": "a star"})
    assert (refused.status_code, refused.json()["error"]["type"]) == (503, "server_error")
