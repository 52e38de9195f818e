// Exponents by hand: a slider each, the verdict as it moves.

const STEPS = 4; // to one
const [LOW, HIGH] = [-2, 3];

export function fraction(value, steps = STEPS) {
  let [top, bottom] = [Math.round(value * steps), steps];
  for (const by of [2, 2, 3]) if (top % by === 0 && bottom % by === 0) [top, bottom] = [top / by, bottom / by];
  return bottom === 1 ? String(top) : `${top}/${bottom}`;
}

export const number = (text) => {
  const [top, bottom = 1] = text.split("/").map(Number);
  return top / bottom;
};

export class Exponents {
  constructor(tools) {
    this.tools = tools;
    this.chosen = "";
  }

  /** Draws the sliders, or brings those that are there to what the text says. */
  async show(panel, reply) {
    if (!reply || reply.tone === "invalid" || reply.tone === "symbols") {
      panel.innerHTML = '<p class="soft">Sliders need a spec that can be judged, with numbers for exponents.</p>';
      return;
    }
    const { groups } = await this.tools.fresh("exponents");
    if (panel.dataset.name !== "exponents" || !groups?.length) return;
    this.groups = groups;
    const names = groups.map(({ name }) => name).join();
    if (!panel.querySelector(".sliders") || this.names !== names) this.draw(panel, names);
    this.fill(panel);
  }

  get group() {
    const named = (wanted) => this.groups.find(({ name }) => name === wanted);
    return named(this.chosen) ?? named("hidden") ?? this.groups[0];
  }

  draw(panel, names) {
    this.names = names;
    panel.innerHTML = `<p class="soft">Exponents of a tensor, or of all that have a role. They are written into the text as you move them.</p>
      <p><label>of <select class="group"></select></label></p><div class="sliders"></div>
      <p class="soft">W = n<sup>−a</sup> w, w starts at n<sup>−b</sup>, the learning rate is n<sup>−c</sup></p>`;
    const select = panel.querySelector(".group");
    for (const { name, paths } of this.groups)
      select.append(new Option(paths.length > 1 || paths[0] !== name ? `all ${name} tensors` : name, name));
    select.value = this.group.name;
    select.onchange = () => {
      this.chosen = select.value;
      panel.querySelector(".sliders").replaceChildren();
      this.fill(panel);
    };
  }

  fill(panel) {
    const box = panel.querySelector(".sliders");
    for (const [key, value] of Object.entries(this.group.exponents)) {
      const row = box.querySelector(`[data-key="${CSS.escape(key)}"]`) ?? box.appendChild(this.row(key));
      const slider = row.querySelector("input");
      const at = value === null ? 0 : number(value);
      slider.min = Math.min(LOW, Math.floor(at));
      slider.max = Math.max(HIGH, Math.ceil(at));
      if (!this.moving && this.tools.isCurrent()) slider.value = at;
      slider.setAttribute("aria-valuetext", value ?? "several");
      row.querySelector("output").textContent = value ?? "several";
    }
  }

  row(key) {
    const row = document.createElement("label");
    row.dataset.key = key;
    row.className = "slider";
    row.innerHTML = `<var></var><input type="range" step="${1 / STEPS}"><output></output>`;
    row.firstChild.textContent = key;
    const slider = row.querySelector("input");
    slider.oninput = () => this.move(key, fraction(slider.value));
    return row;
  }

  /** One request at a time: places that were passed meanwhile are left out. */
  async move(key, value) {
    this.next = { key, value };
    if (this.moving) return;
    this.moving = true;
    while (this.next) {
      const { key: exponent, value: wanted } = this.next;
      this.next = null;
      const { paths } = this.group;
      await this.tools.revised("move", { paths, key: exponent, value: wanted });
    }
    this.moving = false;
  }
}
