// One job: where it stands, the picture as it emerges, and the finished video.

import { at, make } from "./service.js";

const STAGES = {
  queued: "Next in the queue",
  running: "Starting",
  completed: "Finished",
  failed: "Failed",
  cancelled: "Cancelled",
  load: "Loading the model",
  encode_prompt: "Reading the prompt",
  denoise: "Denoising",
  decode: "Decoding the frames",
  sound: "Making the sound",
  encode: "Writing the file",
  deliver: "Delivering",
};
const TOO_MUCH = ["OUT_OF_MEMORY", "GENERATION_TIMEOUT", "OUTPUT_TOO_LARGE"];

function advice({ code, retryable }) {
  if (TOO_MUCH.includes(code)) return " Ask for a smaller size, fewer frames or fewer steps.";
  return retryable ? " Try once more. If it fails again, tell who runs this service." : "";
}

export const percent = progress => Math.floor(progress.fraction * 100);

export const isOpen = job => job.state === "queued" || job.state === "running";

export function duration(seconds) {
  if (seconds < 60) return `${+seconds.toPrecision(2)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const titleOf = job => JSON.parse(job.request.prompt ?? '"Video"');

// What a person is told in a few words, and no more often than they change.
export function headline(job) {
  if (job.ahead) return `In the queue, ${job.ahead} ${job.ahead === 1 ? "video" : "videos"} before yours`;
  return STAGES[job.progress?.stage ?? job.state];
}

export class JobView {
  // `actions`: { again, cancel, remove }, each called with the job.
  constructor(place, actions) {
    Object.assign(this, { place, actions });
    this.show(null);
  }

  show(job) {
    const shown = job && job.id + isOpen(job);
    if (!shown || shown !== this.shown) this.place.replaceChildren(...(job ? this.parts(job) : [empty()]));
    this.shown = shown;
    if (job && isOpen(job)) this.update(job);
  }

  parts(job) {
    this.headline = make("h2", {}, headline(job));
    const title = make("p", { className: "title" }, titleOf(job));
    if (isOpen(job)) {
      this.picture = make("img", { alt: "The picture as it emerges" });
      this.picture.onload = () => ratio(this.frame, this.picture.naturalWidth / this.picture.naturalHeight);
      this.frame = make("div", { className: "frame waiting" });
      this.bar = make("progress", { max: 1, "aria-label": "Progress" });
      this.detail = make("p", { className: "detail" });
      return [this.frame, this.headline, this.bar, this.detail, title, this.buttons(job, "cancel")];
    }
    if (job.state === "completed") return this.finished(job, title);
    const message = job.state === "failed" ? [make("p", { className: "problem" }, job.error.message + advice(job.error))] : [];
    return [this.headline, ...message, title, this.buttons(job, "again", "remove")];
  }

  update(job) {
    const { progress } = job;
    this.headline.textContent = headline(job);
    if (progress) this.bar.value = progress.fraction;
    const parts = progress ? [`step ${progress.step} of ${progress.steps}`, `${percent(progress)} %`] : [];
    if (progress?.remaining != null) parts.push(`about ${duration(Math.max(1, progress.remaining))} left`);
    else parts.push(`${duration(job.elapsed)} so far`);
    this.detail.textContent = parts.join(" · ");
    if (progress?.preview && this.picture.src !== progress.preview) {
      this.picture.src = progress.preview;
      this.frame.replaceChildren(this.picture);
    }
  }

  finished(job, title) {
    const video = make("video", { controls: true, loop: true, playsInline: true, preload: "auto", ariaLabel: titleOf(job) });
    video.src = at(`jobs/${job.id}/video`);
    const made = job.video;
    const frame = make("div", { className: "frame" }, video);
    ratio(frame, made.width / made.height);
    const facts = {
      Seed: made.seed,
      Model: made.model,
      Size: `${made.width} × ${made.height}`,
      Length: `${made.num_frames} frames, ${duration(made.duration)} at ${made.fps} FPS`,
      Steps: made.steps,
      "Guidance scale": made.guidance_scale,
      Sound: made.has_audio ? "yes" : "none",
      File: `${made.container.toUpperCase()} (${made.codec}), ${(made.file_size / 1e6).toFixed(2)} MB`,
      "Made in": duration(made.seconds ?? job.elapsed),
    };
    const terms = Object.entries(facts).map(([name, value]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, String(value))));
    const notes = make("ul", { className: "notes", ariaLabel: "Notes" }, ...made.notes.map(note => make("li", {}, note)));
    const buttons = this.buttons(job, "again", "remove"), href = at(`jobs/${job.id}/video?download=true`);
    buttons.prepend(make("a", { className: "button main", href, download: job.name }, "Download"));
    return [frame, this.headline, title, buttons, make("dl", {}, ...terms), ...(made.notes.length ? [notes] : [])];
  }

  buttons(job, ...names) {
    const words = { cancel: "Cancel", remove: "Delete", again: "Again with these settings" };
    if (job.video && this.actions.hasSeed) words.again = "Again with this seed";
    const button = name => make("button", { type: "button", onclick: () => this.actions[name](job) }, words[name]);
    return make("div", { className: "buttons" }, ...names.map(button));
  }
}

const ratio = (frame, value) => frame.style.setProperty("--ratio", value);

const empty = () => make("div", { className: "frame empty" }, make("p", {}, "Your video appears here."));
