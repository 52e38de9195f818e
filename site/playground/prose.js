// Sentences as elements: what stands between backticks is code, between asterisks strong.

export function spoken(tag, text, className = "") {
  const made = document.createElement(tag);
  made.className = className;
  for (const piece of text.split(/(`[^`]+`|\*\*[^*]+\*\*)/)) {
    const inner = piece.startsWith("`") ? "code" : piece.startsWith("**") ? "strong" : null;
    if (!inner) made.append(piece);
    else {
      const marks = inner === "code" ? 1 : 2;
      made.append(Object.assign(document.createElement(inner), { textContent: piece.slice(marks, -marks) }));
    }
  }
  return made;
}
