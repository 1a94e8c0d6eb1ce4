"""The corridor from a validated request to the delivered file, with a small checkpoint of random numbers."""

import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import av
import numpy as np
import pytest
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXEncoder3D
from PIL import Image

from builder.tiny import cogvideox, hunyuanvideo_1_5
from tests import whole_job
from tests.engine.continued_clips import IMAGE, LONGER, MOST, NAME, TEXT, request_for
from tests.engine.pictures_shown import Picture, pictures_shown
from tests.media.pictures import encoded
from tests.watches import unheard, watch_that
from tests.whole_job import settings_in
from videoworker import job
from videoworker.canvas import Canvas
from videoworker.engine.engine import Engine
from videoworker.errors import Code, JobError
from videoworker.models import VARIANTS
from videoworker.planning.plan import make_plan
from videoworker.planning.work import Work
from videoworker.request import Progress, Result, VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch
from videoworker.weights.revision import revision

SMALL: dict[str, Any] = {"num_frames": 2, "width": 128, "height": 128, "num_inference_steps": 1}


@pytest.fixture(scope="module")
def weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    cogvideox.save(folder / "sketch", "sketch")
    return folder


@pytest.fixture
def settings(weights_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return settings_in(tmp_path, weights_dir, monkeypatch)


@pytest.fixture
def shown() -> Iterator[list[Picture]]:
    with pictures_shown(CogVideoXEncoder3D) as pictures:
        yield pictures


def made(settings: Settings, *given: Any, **asked: Any) -> Result:
    """What becomes of a small job."""
    return whole_job.made(settings, *given, **SMALL | asked)


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_only_the_finished_file_is_left(settings: Settings, tmp_path: Path) -> None:
    result = made(settings)
    assert files_in(tmp_path) == ["made/a/video.mp4"]
    assert result.video.url == (tmp_path / "made" / "a" / "video.mp4").as_uri()
    assert urlsplit(result.video.url).scheme == "file"


def test_a_drawn_seed_is_reported_and_makes_the_same_video_again(settings: Settings, tmp_path: Path) -> None:
    first = made(settings)
    second = made(settings)
    assert first.video.seed != second.video.seed
    again = made(settings, seed=first.video.seed)
    assert again.video.sha256 == first.video.sha256 != second.video.sha256


def test_effort(settings: Settings) -> None:
    """The worker's tier holds for a request that names none. The answer and the file say which it was."""
    engine, fast = Engine(settings), settings.model_copy(update={"effort": "fast"})
    for asked, served, effort in ((None, settings, "full"), (None, fast, "fast"), ("exact", fast, "exact")):
        video = made(served, engine=engine, effort=asked).video
        assert video.effort == effort
        with av.open(url2pathname(urlsplit(video.url).path)) as file:
            assert file.metadata["effort"] == effort
    with pytest.raises(JobError) as refused:
        made(fast, engine=engine, effort="turbo")
    assert refused.value.message == "effort: one of: exact, full, fast, with sketch for such a request"


def test_unmarked_file(settings: Settings) -> None:
    """It still records how it was made."""
    result = made(settings.model_copy(update={"mark": False}))
    path = Path(url2pathname(urlsplit(result.video.url).path))
    assert result.video.marks == [] and b"digitalsourcetype" not in path.read_bytes()
    with av.open(path) as file:
        assert file.metadata["model"] == "sketch" and "digital_source_type" not in file.metadata


def test_revisions_of_a_continued_clip(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer and the file say those of all checkpoints that made the clip, in the order in which they did."""
    monkeypatch.setitem(VARIANTS, NAME, (TEXT, IMAGE))
    both = settings.model_copy(update={"weights_dir": tmp_path / "weights"})
    folders = [both.weights_dir / variant.checkpoint.folder for variant in (TEXT, IMAGE)]
    for folder, variant in zip(folders, (TEXT, IMAGE), strict=True):
        hunyuanvideo_1_5.save(folder, variant.variant)
    first, second = map(revision, folders)
    assert first != second
    for num_frames, expected in ((MOST, first), (LONGER, f"{first}, {second}")):
        asked = request_for(num_frames)
        result = job.run({"id": "a"}, asked, watch_that(), engine=Engine(both), settings=both)
        assert result.video.model_revision == expected
        with av.open(url2pathname(urlsplit(result.video.url).path)) as file:
            assert file.metadata["model_revision"] == expected


def test_loading_is_timed_if_the_job_had_to_load(settings: Settings) -> None:
    engine, reports = Engine(settings), list[Progress]()
    assert "load" in made(settings, reports.append, engine=engine).timings
    assert reports[0].stage == "load"
    assert "load" not in made(settings, engine=engine).timings


def test_the_operators_model_goes_before_the_requests_and_the_answer_names_it(settings: Settings) -> None:
    served = settings.model_copy(update={"model": "sketch"})
    assert made(served, model="hunyuanvideo").video.model == "sketch"
    with pytest.raises(JobError) as caught:
        made(settings, model="hunyuanvideo")
    assert caught.value.code is Code.MODEL_NOT_LOADED


def test_a_file_that_is_too_large_is_not_delivered(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        made(settings, max_file_size=100)
    assert caught.value.code is Code.OUTPUT_TOO_LARGE
    assert "at most 100 are allowed" in caught.value.message
    assert files_in(tmp_path) == []


def test_the_operators_limit_goes_before_the_apis(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        made(settings.model_copy(update={"max_output_bytes": 200}), max_file_size=100_000_000)
    assert "at most 200 are allowed" in caught.value.message


@pytest.mark.parametrize("stage", ["encode_prompt", "denoise", "decode", "encode"])
def test_a_cancel_at_any_stage_leaves_nothing_behind(settings: Settings, tmp_path: Path, stage: str) -> None:
    def report(progress: Progress) -> None:
        if progress.stage == stage:
            watch.cancel.set()

    watch = Watch("a", report, 1000.0)
    with pytest.raises(JobError) as caught:
        made(settings, watch=watch)
    assert caught.value.code is Code.CANCELLED
    assert files_in(tmp_path) == []


def test_a_cancel_ends_the_fetch_of_a_picture(settings: Settings, private_allowed: None) -> None:
    watch = Watch("a", unheard, 1000.0)
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor() as pool:

        def cancel_when_asked() -> None:
            with silent.accept()[0] as connection:
                connection.recv(1)
                watch.cancel.set()
                connection.recv(100_000)  # until it is closed: nothing is ever answered

        asked = pool.submit(cancel_when_asked)
        with pytest.raises(JobError) as caught:
            made(settings, watch=watch, image=f"http://127.0.0.1:{silent.getsockname()[1]}/picture.png")
        asked.result()
    assert caught.value.code is Code.CANCELLED


def test_progress_goes_through_all_stages_and_ends_where_delivery_does(settings: Settings) -> None:
    reports: list[Progress] = []
    made(settings, reports.append)
    stages = list(dict.fromkeys(report.stage for report in reports))
    assert stages == ["load", "encode_prompt", "denoise", "decode", "encode", "deliver"]
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions) and 0.9 < fractions[-1] < 1  # only the answer says that all is done


def test_a_picture_of_the_videos_aspect_is_seen_whole_where_the_frame_is_cut_out(
    settings: Settings, shown: list[Picture]
) -> None:
    picture = np.asarray(Image.effect_noise((640, 360), 90).convert("RGB"))
    image = encoded(Image.fromarray(picture))
    result = made(settings, width=1280, height=720, image=image)
    (first,) = shown
    assert first.shape == (192, 320, 3)  # of which the 180 lines in the middle are kept
    assert np.abs(first[6:186] - Canvas.whole(320, 180).fill(picture)).max() < 1  # bfloat16 holds eight bits
    assert np.abs(first[:6] - first[6]).max() == np.abs(first[186:] - first[185]).max() == 0
    assert not any("image" in note for note in result.video.notes)


def test_a_picture_of_another_aspect_is_cropped_around_its_centre_and_that_is_noted(
    settings: Settings, shown: list[Picture]
) -> None:
    picture = Image.new("RGB", (384, 128), "red")
    picture.paste("blue", (128, 0, 256, 128))
    result = made(settings, image=encoded(picture))
    (first,) = shown
    assert np.abs(first[:, 8:-8] - (0, 0, 255)).max() < 1
    assert "The image (384x128) was cropped to the video's aspect, centred." in result.video.notes


def test_a_picture_that_cannot_be_read_is_refused_by_its_field(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        made(settings, image="nothing")
    assert caught.value.code is Code.INVALID_IMAGE
    assert [problem.field for problem in caught.value.fields] == ["image"]
    assert files_in(tmp_path) == []


def test_weights_that_come_while_the_worker_runs_are_found_by_the_next_job(settings: Settings, tmp_path: Path) -> None:
    empty = settings.model_copy(update={"weights_dir": tmp_path / "weights"})
    engine = Engine(empty)
    with pytest.raises(JobError):
        made(empty, engine=engine)
    shutil.copytree(settings.weights_dir, empty.weights_dir)
    assert made(empty, engine=engine).video.model == "sketch"


def test_loaded_weights_outlive_their_files(settings: Settings, tmp_path: Path) -> None:
    """What is on the device is not looked for again: a network volume may be away."""
    there = settings.model_copy(update={"weights_dir": tmp_path / "weights"})
    shutil.copytree(settings.weights_dir, there.weights_dir)
    engine = Engine(there)
    first = made(there, engine=engine, seed=1)
    shutil.rmtree(there.weights_dir)
    again = made(there, engine=engine, seed=1)
    assert (again.video.sha256, again.video.model_revision) == (first.video.sha256, first.video.model_revision)


def test_a_job_that_will_not_be_done_in_time_is_refused_before_anything_is_made(
    settings: Settings, tmp_path: Path
) -> None:
    engine, reports = Engine(settings), list[Progress]()
    engine.learn(work_of(engine), {"denoise": 5000.0})
    with pytest.raises(JobError) as caught:
        made(settings, reports.append, engine=engine)
    assert caught.value.code is Code.GENERATION_TIMEOUT
    assert "about 5000 seconds (83 minutes); the time limit is 1000 seconds" in caught.value.message
    assert reports == [] and files_in(tmp_path) == []


def test_an_engine_knows_what_the_last_one_learnt(settings: Settings, tmp_path: Path) -> None:
    """It is kept beside the weights, and tells how long the next job takes while that is made."""
    kept = settings.model_copy(update={"weights_dir": tmp_path / "weights", "keep_timings": True})
    shutil.copytree(settings.weights_dir, kept.weights_dir)
    timings = made(kept, engine=Engine(kept)).timings
    engine, reports = Engine(kept), list[Progress]()
    expected = engine.expected(work_of(engine))
    assert expected == pytest.approx(
        {stage: took for stage, took in timings.items() if stage != "total"}, abs=0.01, rel=0.05
    )
    made(kept, reports.append, engine=engine)
    assert reports[0].stage == "load" and reports[0].remaining is not None


def test_timings_that_are_not_to_be_kept(settings: Settings) -> None:
    before = files_in(settings.weights_dir)
    engine = Engine(settings)
    made(settings, engine=engine)
    assert files_in(settings.weights_dir) == before and engine.expected(work_of(engine)) is not None


def work_of(engine: Engine) -> Work:
    """What a small job computes."""
    plan = make_plan(VideoRequest(api="native", prompt="x", model="sketch", **SMALL), engine.survey())
    return engine.work(engine.prepare(plan, watch_that()), "mp4")
