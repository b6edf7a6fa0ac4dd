// The options of the form, as they are sent and as the command names them.

// How images are compressed, and what else an upload says.
const OF_IMAGES = ["compression_percentage", "quality", "format", "effort", "max_width",
  "max_height", "min_score", "metadata"];
const OF_UPLOAD = ["output", "output_columns", "since", "on_row_error", "base_url", "webhook_url",
  "email"];
const OF_FILE = ["url_columns", "name_column", "id_column"];

/** Return the options that are not left as they were, as pairs of name and value. */
export const chosenOptions = (form) => chosen(form, [...OF_FILE, ...OF_IMAGES, ...OF_UPLOAD]);

/** Return those that say how an image is compressed. */
export const imageOptions = (form) => chosen(form, OF_IMAGES);

/** Return those that a person may want to use again: all but those of one file. */
export const lastingOptions = (form) => chosen(form, [...OF_IMAGES, ...OF_UPLOAD]);

/** Set the options to these pairs of name and value, and all others to what they were at first. */
export function setOptions(form, pairs) {
  const values = new Map(pairs);
  for (const name of [...OF_IMAGES, ...OF_UPLOAD]) {
    const field = form.elements[name];
    if (field) field.value = values.get(name) ?? field.dataset.default ?? field.defaultValue;
  }
}

/** Let the file be read by the columns that the service finds. */
export function forgetColumns(form) {
  for (const name of OF_FILE) form.elements[name].value = "";
}

function chosen(form, names) {
  return names.map((name) => [name, form.elements[name]])
    .filter(([name, field]) => field && !field.disabled && field.value.trim() !== ""
      && field.value !== (field.dataset.default ?? field.defaultValue))
    .map(([name, field]) => [name, field.value.trim()]);
}

/** Return the label of an option. */
export const labelOf = (form, name) => form.elements[name]?.labels?.[0]?.textContent
  ?? form.elements[name]?.dataset.label ?? name;
