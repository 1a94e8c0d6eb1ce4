// What the gateway is asked, and how elements are made.

const root = new URL("..", import.meta.url);

export const at = path => new URL(path, root).href;

// `fields` are the problems of single fields, if there are any.
export class Refusal extends Error {
  constructor(status, told) {
    super(told.message);
    Object.assign(this, { status, code: told.code, fields: told.fields ?? [] });
  }
}

const away = "The service does not answer. Check your connection. What you have sent is not lost.";

let token;

// `body` is a JSON text. Raises Refusal.
export async function ask(method, path, body) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(at(path), { method, body, headers }).catch(() => {
    throw new Refusal(0, { message: away });
  });
  if (answer.status === 204) return null;
  const told = await answer.json().catch(() => ({ message: away }));
  if (answer.status === 401 && (token = prompt("Token:"))) return ask(method, path, body);
  if (!answer.ok) throw new Refusal(answer.status, told);
  return told;
}

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
