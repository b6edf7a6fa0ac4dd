// What is read from a file: its layout, the chosen columns, and its first rows.

import { byId, make, show, setText } from "../common/dom.js";
import { counted } from "../common/format.js";

const LAYOUTS = {
  amazon: "Amazon", bigcommerce: "BigCommerce", facebook: "Facebook", google_merchant: "Google"
  + " Merchant", magento: "Magento", opencart: "OpenCart", prestashop: "PrestaShop",
  woocommerce: "WooCommerce",
};
const OTHERWISE = {
  imgcompress: "The columns have the names that imgcompress uses.",
  named: "The columns are the ones you have chosen.",
  detected: "One column holds image URLs.",
};
const COLUMNS_SHOWN = 12;
const LISTED_URLS = 12;

/** The panel; `changed` is called when the user chooses other columns. */
export class Catalogue {
  #form;
  #report = null;

  constructor(form, changed) {
    this.#form = form;
    const choose = () => {
      this.#take();
      changed();
    };
    for (const id of ["url-list", "add-column", "name-choice", "id-choice"]) {
      byId(id).addEventListener("change", choose);
    }
  }

  /** Show what a dry run reports; null hides the panel. */
  show(report) {
    this.#report = report;
    const preview = report?.preview ?? null;
    show(byId("catalogue"), preview !== null);
    if (!preview) return;
    const focused = document.activeElement?.id;
    const columns = report.columns ?? { urls: [], name: null, id: null };
    setText(byId("layout-note"), describeLayout(report.layout, preview));
    this.#showUrlColumns(columns, preview);
    showChoice(byId("name-choice"), preview.header, columns.name);
    showChoice(byId("id-choice"), preview.header, columns.id);
    byId("warnings").replaceChildren(
      ...report.warnings.map((warning) => make("li", {}, warningText(warning))));
    show(byId("warnings"), report.warnings.length > 0);
    byId("first-rows").replaceChildren(rows(preview, columns));
    // The boxes are new elements under the same ids.
    if (focused) byId(focused)?.focus();
  }

  /** Return the first image URLs of the file, each once. */
  firstImages(most) {
    const all = (this.#report?.preview?.rows ?? []).flatMap((row) => row.images);
    return [...new Set(all)].slice(0, most);
  }

  #showUrlColumns(columns, preview) {
    const listed = [...new Set([...columns.urls, ...preview.image_columns])].slice(0, LISTED_URLS);
    byId("url-list").replaceChildren(...listed.map((name, place) => {
      const box = make("input", { type: "checkbox", id: `url-column-${place}`, value: name });
      box.checked = columns.urls.includes(name);
      return make("label", {}, box, ` ${name}`);
    }));
    const others = preview.header.filter((name) => name && !listed.includes(name));
    byId("add-column").replaceChildren(make("option", { value: "" }, "Add a column …"),
      ...others.map((name) => make("option", { value: name }, name)));
    show(byId("add-column"), others.length > 0);
  }

  /** Put the chosen columns into the fields of the form where they differ from the detected ones. */
  #take() {
    const urls = [...byId("url-list").querySelectorAll(":checked")].map((box) => box.value);
    if (byId("add-column").value) urls.push(byId("add-column").value);
    const fields = this.#form.elements;
    const found = this.#report.columns ?? { urls: [], name: null, id: null };
    if (urls.join("\n") !== found.urls.join("\n")) fields.url_columns.value = urls.join(",");
    if (byId("name-choice").value !== (found.name ?? "")) {
      fields.name_column.value = byId("name-choice").value;
    }
    if (byId("id-choice").value !== (found.id ?? "")) {
      fields.id_column.value = byId("id-choice").value;
    }
  }
}

function describeLayout(layout, preview) {
  if (layout === null) return "No column with image URLs was found. Choose one.";
  const name = LAYOUTS[layout] ?? layout[0].toUpperCase() + layout.slice(1);
  const source = OTHERWISE[layout] ?? `This is a ${name} export.`;
  return `${source} ${counted(preview.header.length, "column")}, with their names in row`
    + ` ${preview.header_row}.`;
}

function showChoice(select, header, chosen) {
  select.replaceChildren(make("option", { value: "" }, chosen === null ? "None" : "Detected"),
    ...header.filter(Boolean).map((name) => make("option", { value: name }, name)));
  select.value = chosen ?? "";
}

function warningText(warning) {
  return warning.row === null ? warning.message : `Row ${warning.row}: ${warning.message}`;
}

/** Return the first rows as a table: the chosen columns come first, with their roles. */
function rows(preview, columns) {
  const roles = new Map([[columns.id, "identifier"], [columns.name, "name"],
    ...columns.urls.map((name) => [name, "image URLs"])]);
  const places = preview.header.map((_, place) => place);
  const chosen = (place) => roles.has(preview.header[place]);
  const shown = [...places.filter(chosen), ...places.filter((place) => !chosen(place))]
    .slice(0, COLUMNS_SHOWN);
  const head = shown.map((place) => make("th", { scope: "col" }, preview.header[place] || "–",
    chosen(place) ? make("span", { class: "pill" }, roles.get(preview.header[place])) : null));
  return make("table", { class: "rows" },
    make("caption", { class: "unseen" }, "The first rows of the file"),
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Row"), ...head)),
    make("tbody", {}, ...preview.rows.map((row) => make("tr", {},
      make("td", { class: "number" }, String(row.row)),
      ...shown.map((place) => make("td", {}, row.cells[place] ?? ""))))));
}
