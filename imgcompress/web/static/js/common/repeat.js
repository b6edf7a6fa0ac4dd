// Repeating a task, but not while the page is hidden.

/**
 * Run `task` now, and again after the milliseconds that it returns; null ends the repetition. Nothing
 * runs while the page is hidden, and the task runs as soon as the page is shown. Return a function
 * that runs the task at once, and resumes the repetition if it had ended.
 */
export function repeat(task) {
  let timer = null;
  let running = false;
  let again = false;

  async function run() {
    clearTimeout(timer);
    timer = null;
    if (running) {
      again = true;
      return;
    }
    running = true;
    const pause = await task();
    running = false;
    if (again) {
      again = false;
      run();
    } else if (pause !== null) {
      timer = setTimeout(() => !document.hidden && run(), pause);
    }
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && timer !== null) run();
  });
  run();
  return run;
}
