// The form of an API. Values are JSON texts: JavaScript's numbers are too small for seeds. What
// stands at its default is not sent, since the model's own default may differ.

import { make } from "./service.js";

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?$/;
const LARGEST_SIDE = 1920, LARGEST_PNG = 4e6; // pixels and bytes of a picture that is sent

export class Form {
  constructor(fields, place) {
    this.fields = fieldsOf(fields);
    this.more = make("details", {}, make("summary", {}, "More settings"));
    for (const field of this.fields) (field.isMore ? this.more : place).append(field.element);
    if (this.more.children[1]) place.append(this.more);
  }

  // A JSON object. `isDraft`: with something in place of pictures, and of what is not there yet.
  text(isDraft = false) {
    return object(this.fields, isDraft);
  }

  // `texts`: JSON texts by field. Other fields get their defaults.
  fill(texts) {
    for (const field of this.fields) field.write(texts[field.name] ?? null);
    this.more.open = this.fields.some(field => field.isMore && field.read() !== null);
  }

  find(name) {
    return this.fields.find(field => field.name === name);
  }

  // Shows the problems at their fields. Returns those that belong to none. `isDraft`: what is empty may stay so.
  show(problems, isDraft = false) {
    const fields = this.fields.flatMap(field => [field, ...(field.inner ?? [])]);
    for (const field of fields) {
      const problem = problems.find(one => one.field === field.path), isShown = problem && !(isDraft && field.read() === null);
      field.show(isShown ? problem.allowed : "");
      if (isShown && this.more.contains(field.element)) this.more.open = true;
    }
    return problems.filter(one => !fields.some(field => field.path === one.field));
  }
}

function object(fields, isDraft) {
  const given = fields.map(field => [field.name, field.read(isDraft)]).filter(([, text]) => text !== null);
  return `{${given.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join()}}`;
}

const fieldsOf = all => all.map(declared => {
  const field = { path: declared.name, ...declared };
  if (field.fields) return group(field);
  if (field.type === "boolean") return box(field);
  if (field.options) return choice(field);
  if (field.type === "string") return field.contentMediaType ? picture(field) : text(field);
  return number(field);
});

// A field with its element: label, hint, the control and what belongs to it, problem. `look` is a class.
function framed(field, look, control, ...beside) {
  const id = `field-${field.path}`;
  const problem = make("p", { className: "problem", id: `${id}-problem` });
  const about = make("p", { className: "hint", id: `${id}-hint` }, field.hint);
  Object.assign(control, { id, required: field.required });
  control.setAttribute("aria-describedby", `${about.id} ${problem.id}`);
  const label = make("label", { htmlFor: id }, field.label);
  const controls = make("div", { className: "control" }, ...beside, control);
  const element = make("div", { className: `field ${look}` }, label, controls, about, problem);
  const show = allowed => {
    problem.textContent = allowed ? `Must be ${allowed}.` : "";
    control.setAttribute("aria-invalid", Boolean(allowed));
  };
  return { ...field, element, control, show };
}

function text(field) {
  const control = make(field.isLong ? "textarea" : "input");
  const frame = framed(field, "wide", control);
  frame.element.append(...(field.examples ?? []).map(example => make("button", {
    type: "button",
    className: "example",
    onclick: () => { control.value = example; changed(control); control.focus(); },
  }, example)));
  const standIn = field.required || field.examples ? JSON.stringify("x".repeat(field.minLength)) : null;
  return {
    ...frame,
    read: isDraft => (control.value.trim() ? JSON.stringify(control.value) : isDraft ? standIn : null),
    write: value => { control.value = JSON.parse(value) ?? ""; },
  };
}

function number(field) {
  const { minimum: min, maximum: max, step, default: standard } = field;
  const first = standard === null ? "" : String(standard);
  const control = make("input", { type: "number", min, max, step, value: first });
  control.placeholder = field.name === "seed" ? "random" : "automatic";
  const slider = make("input", { type: "range", min, max, step, value: first, tabIndex: -1, ariaHidden: "true" });
  slider.oninput = () => { control.value = slider.value; };
  control.oninput = () => { slider.value = control.value; };
  return {
    ...framed(field, "", control, ...(field.hasSlider ? [slider] : [])),
    read: () => {
      const value = control.value;
      return value === first ? null : NUMBER.test(value) ? value : JSON.stringify(value);
    },
    write: value => {
      control.value = JSON.parse(value) === null ? first : value;
      control.oninput();
    },
  };
}

function choice(field) {
  const { options, default: standard } = field;
  const control = make("select", {}, ...options.map(value => make("option", { value }, value || "automatic")));
  control.value = standard;
  return {
    ...framed(field, "", control),
    read: () => (control.value === standard ? null : JSON.stringify(control.value)),
    write: value => { control.value = JSON.parse(value)?.toLowerCase() ?? standard; },
  };
}

function box(field) {
  const control = make("input", { type: "checkbox", checked: field.default === true });
  return {
    ...framed(field, "box", control),
    read: isDraft => (isDraft || control.checked !== control.defaultChecked ? String(control.checked || field.required) : null),
    write: value => { control.checked = JSON.parse(value) ?? field.default === true; },
  };
}

function group(field) {
  const inner = fieldsOf(field.fields.map(one => ({ ...one, path: `${field.path}.${one.name}` })));
  const within = make("div", { className: "group", role: "group", ariaLabel: field.label, hidden: true }, ...inner.map(one => one.element));
  const control = make("input", { type: "checkbox" });
  control.onchange = () => { within.hidden = !control.checked; };
  const frame = framed(field, "box", control);
  frame.element.append(within);
  return {
    ...frame,
    inner,
    read: isDraft => (control.checked ? object(inner, isDraft) : null),
    write: value => {
      const given = JSON.parse(value);
      control.checked = given !== null;
      control.onchange();
      for (const one of inner) one.write(JSON.stringify(given?.[one.name] ?? null));
    },
  };
}

function picture(field) {
  let content = null;
  const control = make("input", { type: "file", accept: "image/*" });
  const shown = make("img", { alt: "Your picture", hidden: true });
  const remove = make("button", { type: "button", hidden: true, onclick: () => put(null) }, "Remove the picture");
  const frame = framed({ ...field, hint: `${field.hint}. Choose a file, or drop it here.` }, "wide picture", control);
  const place = frame.element;
  place.append(shown, remove);
  control.onchange = () => take(control.files);
  place.ondragover = event => event.preventDefault();
  place.ondrop = event => {
    event.preventDefault();
    take(event.dataTransfer.files);
  };
  return {
    ...frame,
    read: isDraft => (content === null ? null : JSON.stringify(isDraft ? "given" : content)),
    write: () => put(null), // a job's picture is not kept
  };

  async function take([file]) {
    if (!file) return;
    const uri = await encoded(file).catch(() => null);
    put(uri);
    if (uri === null) frame.show("a picture that this browser can show");
  }

  function put(uri) {
    content = uri;
    if (uri === null) control.value = "";
    else shown.src = uri;
    shown.hidden = remove.hidden = uri === null;
    frame.show();
    changed(control);
  }
}

// A file as the data URI of a PNG or JPEG, without what else a camera writes into it.
async function encoded(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, LARGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = make("canvas", { width: bitmap.width * scale, height: bitmap.height * scale });
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL(file.type === "image/png" && file.size < LARGEST_PNG ? file.type : "image/jpeg", 0.95);
}

const changed = control => control.dispatchEvent(new Event("input", { bubbles: true }));
