// The options of the form, as they are sent and as the command names them.

const FIELDS = ["compression_percentage", "quality", "format", "effort", "max_width",
  "max_height", "webhook_url", "email"];

/** Return the options that are not left as they were, as pairs of name and value. */
export function chosenOptions(form) {
  return FIELDS.map((name) => [name, form.elements[name]])
    .filter(([name, field]) => field && !field.disabled && field.value.trim() !== ""
      && field.value !== (field.dataset.default ?? field.defaultValue))
    .map(([name, field]) => [name, field.value.trim()]);
}

/** Return the label of an option. */
export const labelOf = (form, name) => form.elements[name]?.labels?.[0]?.textContent ?? name;
