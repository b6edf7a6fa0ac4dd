// A button that copies a text.

const SHOWN_MS = 2_000;

/** Let `button` copy what `source`, an element or a text, says. */
export function offerCopy(button, source) {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    button.textContent = (await copied(source)) ? "Copied" : "Selected: press Ctrl+C";
    setTimeout(() => {
      button.textContent = label;
    }, SHOWN_MS);
  });
}

/** Copy, and return true; browsers allow it on HTTPS and on this machine. Else select the text. */
async function copied(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    window.getSelection().selectAllChildren(source);
    return false;
  }
}
