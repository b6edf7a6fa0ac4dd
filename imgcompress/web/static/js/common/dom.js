// Making elements. Texts become text nodes and nothing else, so no data can turn into markup.

/** Return the element with this id. */
export const byId = (id) => document.getElementById(id);

/**
 * Make an element: functions become listeners of the event that follows `on` in their names, other
 * values become attributes, strings become text nodes, and null is no child.
 */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(attribute.slice(2), value);
    else element.setAttribute(attribute, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Return a text for screen readers; the layout shows the same to everyone else. */
export const unseen = (text) => make("span", { class: "unseen" }, text);

/** Show or hide an element. */
export function show(element, visible = true) {
  element.hidden = !visible;
}

/** Set a text only if it is new, so that screen readers and selections are not disturbed. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
