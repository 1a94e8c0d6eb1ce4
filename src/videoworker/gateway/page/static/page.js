// The page: the form, the job whose id is in the URL, and the last jobs of this browser.

import { Form } from "./form.js";
import { duration, headline, isOpen, JobView, percent, titleOf } from "./job.js";
import { ask, at, make } from "./service.js";

const POLL = 1000, LONGEST_PAUSE = 15000, SETTLED = 300; // milliseconds
const REMEMBERED = 12, NOTHING = { message: "" };

const find = id => document.getElementById(id);
const name = document.title;
const form = new Form(JSON.parse(find("form").textContent), find("fields"));
const view = new JobView(find("job"), { again, cancel, remove, hasSeed: form.find("seed") });

// The job that is shown

const shownId = () => new URLSearchParams(location.search).get("job");
let timer, faults = 0, said = "";

function open(id) {
  const url = new URL(location.href);
  if (id) url.searchParams.set("job", id);
  else url.searchParams.delete("job");
  history.pushState(null, "", url);
  follow();
}

function followIn(pause) {
  clearTimeout(timer);
  timer = setTimeout(follow, pause);
}

async function follow() {
  const id = shownId();
  if (!id) return shown(null);
  try {
    const job = await ask("GET", `jobs/${encodeURIComponent(id)}`);
    if (id !== shownId()) return;
    if (faults) say(NOTHING);
    faults = 0;
    if (shown(job)) followIn(POLL);
  } catch (error) {
    if (id !== shownId()) return;
    say(error);
    if (error.status === 404) return forget(id), shown(null);
    followIn(Math.min(LONGEST_PAUSE, POLL * 2 ** faults++));
  }
}

// Returns whether it may still change.
function shown(job) {
  view.show(job);
  const done = job?.progress ? `${percent(job.progress)} % ` : "";
  document.title = job ? `${done}${headline(job)} – ${name}` : name;
  if (job) remember(job.id);
  announce(job ? headline(job) : "");
  return job !== null && isOpen(job);
}

// For screen readers: each stage once.
function announce(words) {
  if (words === said) return;
  find("said").textContent = said = words;
  list();
}

function say({ message }) {
  const refusal = find("refusal");
  if (refusal.textContent !== message) refusal.textContent = message; // or it is read out again
}

function again(job) {
  form.fill(job.video ? { ...job.request, seed: job.video.seed } : job.request);
  changed();
  form.fields[0].control.focus();
  announce("The form has the settings of this video.");
}

function cancel(job) {
  ask("POST", `jobs/${job.id}/cancel`).then(follow, say);
}

function remove(job) {
  if (!confirm("Delete this video for good?")) return;
  ask("DELETE", `jobs/${job.id}`).then(() => { forget(job.id); open(null); }, say);
}

// The form

let settling, asked = 0;

function changed() {
  clearTimeout(settling);
  settling = setTimeout(estimate, SETTLED);
}

async function estimate() {
  const number = ++asked;
  const answer = await ask("POST", "estimate", form.text(true)).catch(error => error);
  if (number !== asked) return;
  const { fields, message = "" } = answer, rest = form.show(fields ?? [], true);
  const parts = !fields ? told(answer) : [rest.length || !fields.length ? message : ""];
  find("estimate").replaceChildren(...parts.filter(Boolean).map(part => make("p", {}, part)));
}

// The lines that say what the video will take; the first is what most people want to know.
function told({ seconds, source, is_least, model, gib, least_gib, needs_gpu, notes }) {
  const time = seconds === null ? [] : [`${is_least ? "at least" : "about"} ${duration(Math.max(1, seconds))}`];
  const memory = gib === null ? [] : [`${gib} GiB of ${needs_gpu ? "GPU memory" : "memory"}`];
  if (least_gib < gib) memory.push(`${least_gib} GiB if need be, slower`);
  return [[...time, ...memory].join(" · "), model && `Made by ${model}${seconds === null ? "" : `, ${source}`}.`, ...notes];
}

find("make").oninput = changed;
find("make").onkeydown = event => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.requestSubmit();
};
find("make").onsubmit = async event => {
  event.preventDefault();
  const button = event.target.querySelector("[type=submit]");
  if (button.ariaDisabled === "true") return;
  button.ariaDisabled = "true";
  say(NOTHING);
  clearTimeout(settling);
  asked++;
  try {
    const job = await ask("POST", "jobs", form.text());
    form.show([]);
    open(job.id);
    find("job").focus();
  } catch (error) {
    const rest = form.show(error.fields);
    say(rest.length < error.fields.length ? { message: "Look at the marked fields." } : error);
    document.querySelector("[aria-invalid=true]")?.focus();
  } finally {
    button.ariaDisabled = "false";
  }
};

// The last jobs of this browser

const key = `videos of ${document.body.dataset.api}`;
let ids = [];
try {
  ids = JSON.parse(localStorage.getItem(key)) ?? [];
} catch { /* forbidden */ }

function keep(changedIds) {
  ids = changedIds;
  try {
    localStorage.setItem(key, JSON.stringify(ids));
  } catch { /* then it is for this visit */ }
}

function remember(id) {
  if (!ids.includes(id)) keep([id, ...ids].slice(0, REMEMBERED));
}

function forget(id) {
  keep(ids.filter(one => one !== id));
  list();
}

async function list() {
  const query = ids.map(id => `id=${encodeURIComponent(id)}`).join("&");
  const jobs = query ? await ask("GET", `jobs?${query}`).catch(() => []) : [];
  find("last").hidden = !jobs.length;
  find("list").replaceChildren(...jobs.map(listed));
}

function listed(job) {
  const link = make("a", { href: `?job=${job.id}` });
  const picture = make(job.video ? "video" : "span", { className: "thumb", muted: true, ariaHidden: "true" });
  if (job.video) picture.src = at(`jobs/${job.id}/video#t=0.1`);
  link.append(picture, make("span", { className: "words" }, titleOf(job), make("small", {}, headline(job))));
  if (job.id === shownId()) link.setAttribute("aria-current", "true");
  link.onclick = event => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(job.id);
    find("job").focus();
  };
  return make("li", {}, link);
}

addEventListener("popstate", follow);
document.addEventListener("visibilitychange", () => { if (!document.hidden) follow(); });
follow().then(() => shownId() && find("job").focus());
list();
estimate();
