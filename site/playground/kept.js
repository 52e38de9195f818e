// The text that was worked on last, with what can be undone of it, kept in the browser.
const KEY = "abcparam.playground";
const MOST = 500_000; // characters

export function keep(state) {
  try {
    const made = JSON.stringify(state);
    if (made.length <= MOST) localStorage.setItem(KEY, made);
  } catch {
    // a browser that keeps nothing
  }
}

export function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEY));
  } catch {
    return null;
  }
}
