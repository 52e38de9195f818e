// Laws and formulas as they are printed, `width^(1/2 - c)`, in TeX; null for what is none.

const PIECES =
  /(\s*)(?:(\d+(?:\.\d+)?)|([\p{L}∞][\p{L}\p{N}_.′']*)|(\*\*|>=|<=|:=|[-+−*/·×^(),=<>≤≥~∼→]))/uy;
const GREEK = {
  α: "alpha", β: "beta", γ: "gamma", δ: "delta", ε: "varepsilon", ζ: "zeta", η: "eta", θ: "theta",
  κ: "kappa", λ: "lambda", μ: "mu", µ: "mu", ν: "nu", π: "pi", ρ: "rho", σ: "sigma", τ: "tau",
  φ: "varphi", χ: "chi", ψ: "psi", ω: "omega", Δ: "Delta", Θ: "Theta", Σ: "Sigma", Ω: "Omega",
  Λ: "Lambda", Π: "Pi", Φ: "Phi", Ψ: "Psi",
};
const SIGNS = {
  "*": "\\,", "·": "\\cdot ", "×": "\\times ", "≤": "\\le ", "<=": "\\le ", "≥": "\\ge ", ">=": "\\ge ",
  ":=": "\\mathrel{:=}", "→": "\\to ", "~": "\\sim ", "∼": "\\sim ", "−": "-", "=": "=", "<": "<", ">": ">", "+": "+", "-": "-", "/": "/",
};
const CALLED = { max: "\\max", Max: "\\max", min: "\\min", Min: "\\min", log: "\\log", sqrt: "\\sqrt" };
const RELATIONS = new Set([":=", "→", "=", "<", ">", "<=", ">=", "≤", "≥", "~", "∼"]);

export function pieces(text) {
  const found = [];
  PIECES.lastIndex = 0;
  while (PIECES.lastIndex < text.trimEnd().length) {
    const match = PIECES.exec(text);
    if (!match) return null;
    const [, space, number, name, sign] = match;
    found.push({ number, name, sign, glued: !space });
  }
  return found;
}

/** A name: Greek letters by their names, what follows one or `_` as an index. */
export function named(name) {
  if (name === "∞") return "\\infty ";
  if (/^[dg][acdmnr]$/.test(name)) return `${name[0]}_${name[1]}`; // parts of a change, of a gradient
  const [, delta, head, rest] = /^(Δ(?=\p{L}))?(\p{L}(?=_|\p{N}|$)|[\u0370-\u03ffµ]|[\p{L}\p{N}.]+)_?(.*)$/u.exec(name) ?? [];
  if (!head) return null;
  const letters = [...head];
  const greek = GREEK[head];
  const whole = greek ? `\\${greek} ` : letters.length === 1 ? head : `\\mathrm{${head}}`;
  const below = rest && (rest.length > 1 && !/^\d+$/.test(rest) ? `\\mathrm{${rest.replaceAll("_", "\\_")}}` : rest);
  return `${delta ? "\\Delta " : ""}${whole}${below ? `_{${below}}` : ""}`;
}

class Reader {
  constructor(found) {
    this.found = found;
    this.at = 0;
  }

  sign(...signs) {
    const here = this.found[this.at]?.sign;
    return here && signs.includes(here) ? (this.at++, here) : null;
  }

  whole() {
    let made = this.relation();
    while (this.sign(",")) made += `,\\; ${this.relation()}`;
    if (this.at < this.found.length) throw new SyntaxError("more than a formula");
    return made;
  }

  relation() {
    let made = this.sum();
    for (let sign; (sign = this.sign(...RELATIONS)); ) made += SIGNS[sign] + this.sum();
    return made;
  }

  sum() {
    let made = this.product();
    for (let sign; (sign = this.sign("+", "-", "−")); ) made += SIGNS[sign] + this.product();
    return made;
  }

  product() {
    let made = this.power();
    for (;;) {
      const sign = this.sign("*", "·", "×", "/");
      if (sign) made += SIGNS[sign] + this.power();
      else if (this.found[this.at]?.name) made += `\\,${this.power()}`; // side by side: `W x`
      else return made;
    }
  }

  power() {
    if (this.sign("-", "−")) return `-${this.power()}`;
    const base = this.atom();
    if (!this.sign("^", "**")) return base;
    return `${base}^{${this.exponent()}}`;
  }

  exponent() {
    if (this.sign("-", "−")) return `-${this.exponent()}`;
    if (!this.sign("(")) {
      const made = this.atom();
      const next = this.found[this.at];
      return next?.glued && next.name ? made + this.atom() : made; // `n^-2b`
    }
    const made = this.sum();
    if (!this.sign(")")) throw new SyntaxError("a bracket is open");
    return made;
  }

  atom() {
    const piece = this.found[this.at++];
    if (piece?.number) return piece.number;
    if (piece?.sign === "(") return this.bracketed("(", ")");
    if (!piece?.name) throw new SyntaxError("no formula");
    const called = this.found[this.at]?.sign === "(" && this.found[this.at].glued;
    const words = this.words(piece);
    if (words) return words;
    const name = CALLED[piece.name] ?? named(piece.name);
    if (name === null) throw new SyntaxError("no name");
    return called && this.sign("(") ? name + this.bracketed("(", ")") : name;
  }

  /** `learning rate`: words beside others are no product. */
  words(first) {
    const isWord = (piece) => /^[a-z]{2,}$/.test(piece?.name ?? "");
    const last = this.found[this.at - 2];
    if (!isWord(first) || !(isWord(this.found[this.at]) || last?.name)) return null;
    const made = [first.name];
    while (isWord(this.found[this.at])) made.push(this.found[this.at++].name);
    return `\\text{ ${made.join(" ")} }`;
  }

  bracketed(open, close) {
    const parts = [];
    do parts.push(this.relation());
    while (this.sign(","));
    if (!this.sign(close)) throw new SyntaxError("a bracket is open");
    return `${open}${parts.join(",\\, ")}${close}`;
  }
}

/** Lines of a display, whose parts stand apart. */
export function display(lines) {
  const rows = lines.map((line) => line.trim().split(/(?:,)?\s{3,}/).map(typeset));
  if (rows.flat().includes(null)) return null;
  return `\\begin{aligned}${rows.map((row) => `&${row.join("\\qquad ")}`).join("\\\\")}\\end{aligned}`;
}

const SYMBOL = /^(?:Δ?\p{L}\d*|\p{L}_\p{L}+|[dg][acdmnr]|ρ[ior]|max|min|size)$/u;

/** Whether a word of prose is a formula: of symbols alone, and of signs that no code has. */
export function isFormula(text) {
  if (!/^[\w\u0370-\u03ff\s+−·=≥≤(),^/→∞-]+$/u.test(text)) return false;
  const found = pieces(text);
  return Boolean(found?.every(({ name }) => !name || SYMBOL.test(name)));
}

export function typeset(text) {
  const found = pieces(text);
  if (!found?.length) return null;
  try {
    return new Reader(found).whole();
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
