// The options of the form, as they are sent and as they appear in the curl command.

// How images are compressed, then the other options of an upload.
const OF_IMAGES = ["compression_percentage", "quality", "format", "effort", "max_width",
  "max_height", "min_score", "metadata"];
const OF_UPLOAD = ["output", "output_columns", "since", "on_row_error", "base_url", "webhook_url",
  "email"];
const OF_FILE = ["url_columns", "name_column", "id_column"];

/** Return the options that differ from their defaults, as pairs of name and value. */
export const chosenOptions = (form) => chosen(form, [...OF_FILE, ...OF_IMAGES, ...OF_UPLOAD]);

/** Return the chosen options that say how an image is compressed. */
export const imageOptions = (form) => chosen(form, OF_IMAGES);

/** Return the chosen options that the user may want to use again: all but those of one file. */
export const lastingOptions = (form) => chosen(form, [...OF_IMAGES, ...OF_UPLOAD]);

/** Set the options to these pairs of name and value, and all others to their defaults. */
export function setOptions(form, pairs) {
  const values = new Map(pairs);
  for (const name of [...OF_IMAGES, ...OF_UPLOAD]) {
    const field = form.elements[name];
    if (field) field.value = values.get(name) ?? field.dataset.default ?? field.defaultValue;
  }
}

/** Go back to the columns that the service detects. */
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
