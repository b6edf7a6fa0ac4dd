// A button that copies a text.

const SHOWN_MS = 2_000;

/** Make `button` copy the text of the element `source`. */
export function offerCopy(button, source) {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    button.textContent = (await copied(source)) ? "Copied" : "Selected: press Ctrl+C";
    setTimeout(() => {
      button.textContent = label;
    }, SHOWN_MS);
  });
}

/** Copy and return true; browsers allow it on HTTPS and on localhost. Otherwise select the text. */
async function copied(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    window.getSelection().selectAllChildren(source);
    return false;
  }
}
