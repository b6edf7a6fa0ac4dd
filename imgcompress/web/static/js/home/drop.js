// Choosing a file, in the browser's dialog or by dropping it anywhere on the page.

/** Call `taken` with every file that is chosen in `input` or dropped. */
export function pickFiles(zone, input, taken) {
  input.addEventListener("change", () => {
    if (input.files.length) taken(input.files[0]);
    // So that the same file can be chosen again once it has been fixed.
    input.value = "";
  });
  let depth = 0;
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    zone.classList.toggle("over", depth > 0);
  };
  document.addEventListener("dragenter", () => mark(1));
  document.addEventListener("dragleave", () => mark(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(-depth);
    if (event.dataTransfer.files.length) taken(event.dataTransfer.files[0]);
  });
}
