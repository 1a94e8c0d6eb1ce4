// The form of an API, from its JSON schema. Values are JSON texts: JavaScript's numbers are too small for seeds. What
// stands at its default is not sent, since the model's own default may differ.

import { make } from "./service.js";

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?$/;
const LONG = 200; // characters: such a text gets several lines
const FINE = 1e5; // a longer range has no slider
const LARGEST_SIDE = 1920, LARGEST_PNG = 4e6; // pixels and bytes of a picture that is sent

export class Form {
  constructor(schema, place) {
    this.fields = fieldsOf(schema, schema.$defs ?? {}, "");
    place.append(...this.fields.map(field => field.element));
  }

  // A JSON object. `isDraft`: with something in place of pictures, and of what is not there yet.
  text(isDraft = false) {
    return object(this.fields, isDraft);
  }

  // `texts`: JSON texts by field. Other fields get their defaults.
  fill(texts) {
    for (const field of this.fields) field.write(texts[field.name] ?? null);
  }

  find(name) {
    return this.fields.find(field => field.name === name);
  }

  // Shows the problems at their fields. Returns those that belong to none.
  show(problems) {
    const fields = this.fields.flatMap(field => [field, ...(field.inner ?? [])]);
    for (const field of fields) field.show(problems.find(one => one.field === field.path)?.allowed);
    return problems.filter(one => !fields.some(field => field.path === one.field));
  }
}

function object(fields, isDraft) {
  const given = fields.map(field => [field.name, field.read(isDraft)]).filter(([, text]) => text !== null);
  return `{${given.map(([name, text]) => `${JSON.stringify(name)}:${text}`).join()}}`;
}

function fieldsOf(schema, definitions, prefix) {
  return Object.entries(schema.properties).map(([name, declared]) => {
    let spec = declared.anyOf?.find(one => one.type !== "null") ?? declared;
    if (spec.$ref) spec = definitions[spec.$ref.split("/").pop()];
    const field = { ...declared, name, spec, path: prefix + name, standard: declared.default ?? null };
    field.required = (schema.required ?? []).includes(name);
    if (spec.type === "object") return group(field, definitions);
    if (spec.type === "boolean") return box(field);
    if (spec.enum) return choice(field);
    if (spec.type === "string") return spec.contentMediaType ? picture(field) : text(field);
    return number(field);
  });
}

const words = name => {
  const text = name.replaceAll("_", " ").replace(/\b(fps|vram|crf)\b/g, short => short.toUpperCase());
  return text[0].toUpperCase() + text.slice(1);
};

function hint({ name, spec, description = "" }) {
  const { minimum, maximum } = spec, about = description.split(/;? \(?null/)[0];
  const hasRange = maximum === undefined || maximum > 1e9 || about.includes("-");
  return [...(about === words(name) ? [] : [about]), ...(hasRange ? [] : [`${minimum} to ${maximum}`])].join(", ");
}

// A field with its element: label, hint, the control and what belongs to it, problem. `look` is a class.
function framed(field, look, control, ...beside) {
  const id = `field-${field.path}`;
  const problem = make("p", { className: "problem", id: `${id}-problem` });
  const about = make("p", { className: "hint", id: `${id}-hint` }, hint(field));
  Object.assign(control, { id, required: field.required });
  control.setAttribute("aria-describedby", `${about.id} ${problem.id}`);
  const label = make("label", { htmlFor: id }, words(field.name));
  const controls = make("div", { className: "control" }, ...beside, control);
  const element = make("div", { className: `field ${look}` }, label, controls, about, problem);
  const show = allowed => {
    problem.textContent = allowed ? `Must be ${allowed}.` : "";
    control.setAttribute("aria-invalid", Boolean(allowed));
  };
  return { ...field, element, control, show };
}

function text(field) {
  const isLong = field.spec.maxLength > LONG;
  const control = make(isLong ? "textarea" : "input");
  const frame = framed(field, "wide", control);
  frame.element.append(...(field.examples ?? []).map(example => make("button", {
    type: "button",
    className: "example",
    onclick: () => { control.value = example; changed(control); control.focus(); },
  }, example)));
  const standIn = field.required ? JSON.stringify("x".repeat(field.spec.minLength)) : null;
  return {
    ...frame,
    read: isDraft => (control.value.trim() ? JSON.stringify(control.value) : isDraft ? standIn : null),
    write: value => { control.value = JSON.parse(value) ?? ""; },
  };
}

function number(field) {
  const { minimum: min, maximum: max, multipleOf, type } = field.spec, { standard } = field;
  const first = standard === null ? "" : String(standard), step = multipleOf ?? (type === "integer" ? 1 : 0.1);
  const control = make("input", { type: "number", min, max, step, value: first });
  control.placeholder = field.name === "seed" ? "random" : "automatic";
  const slider = make("input", { type: "range", min, max, step, value: first, tabIndex: -1, ariaHidden: "true" });
  slider.oninput = () => { control.value = slider.value; };
  control.oninput = () => { slider.value = control.value; };
  const hasSlider = standard !== null && max - min < FINE;
  return {
    ...framed(field, "", control, ...(hasSlider ? [slider] : [])),
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
  const known = field.spec.enum.filter(value => value !== "");
  const standard = known.find(value => value.toLowerCase() === field.standard?.toLowerCase());
  const options = standard || known.includes("auto") ? known : ["", ...known], first = standard ?? options[0];
  const control = make("select", {}, ...options.map(value => make("option", { value }, value || "automatic")));
  control.value = first;
  return {
    ...framed(field, "", control),
    read: () => (control.value === first ? null : JSON.stringify(control.value)),
    write: value => { control.value = JSON.parse(value)?.toLowerCase() ?? first; },
  };
}

function box(field) {
  const control = make("input", { type: "checkbox", checked: field.standard === true });
  return {
    ...framed(field, "box", control),
    read: isDraft => (isDraft || control.checked !== control.defaultChecked ? String(control.checked || field.required) : null),
    write: value => { control.checked = JSON.parse(value) ?? field.standard === true; },
  };
}

function group(field, definitions) {
  const inner = fieldsOf(field.spec, definitions, `${field.path}.`);
  const within = make("div", { className: "group", role: "group", ariaLabel: words(field.name), hidden: true }, ...inner.map(one => one.element));
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
  const frame = framed({ ...field, description: `${field.description}. Choose one, or drop it here.` }, "wide picture", control);
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
