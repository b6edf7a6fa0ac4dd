// Doing something again and again, but not while nobody looks.

/**
 * Do `task` now and again, each time after the milliseconds that it returns; null ends it. While
 * the page is hidden nothing is done, and it goes on at once when it is shown. Return a function
 * that does the task at once, and takes it up again if it had ended.
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
