// The plane between two parametrizations of the text, and a place in it.
import { fraction, number } from "./exponents.js";

const STEPS = 12;
const FORMS = ["sp", "mup", "ntk", "mfp"];
const PAUSE = 500;

export class PlaneView {
  constructor(tools) {
    this.tools = tools;
    this.ends = { a: "sp", b: "mup" };
    this.at = null; // where the text was moved to, if it was
  }

  show(panel) {
    const { text } = this.tools.request();
    if (!panel.querySelector(".plane-view")) this.draw(panel);
    else if (text === this.text || text === this.moved) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.map(panel), this.text === undefined ? 0 : PAUSE);
  }

  draw(panel) {
    this.text = undefined;
    this.at = null;
    const options = ["", ...FORMS].map((form) => `<option value="${form}">${form || "as written"}</option>`).join("");
    panel.innerHTML = `<div class="plane-view">
      <p>from <label><span class="unseen">from</span><select data-end="a">${options}</select></label>
      to <label><span class="unseen">to</span><select data-end="b">${options}</select></label></p>
      <div class="picture" aria-live="polite"><p class="soft">mapping …</p></div>
      <div class="sliders" hidden>
      <label class="slider"><span>initial scales</span><input type="range" data-of="init" step="${1 / STEPS}"><output></output></label>
      <label class="slider"><span>learning rates</span><input type="range" data-of="lr" step="${1 / STEPS}"><output></output></label>
      <p class="soft">A place in the plane, by slider or by a click, is written into the text.</p></div></div>`;
    for (const select of panel.querySelectorAll("select")) {
      select.value = this.ends[select.dataset.end];
      select.onchange = () => {
        this.ends[select.dataset.end] = select.value;
        this.at = null;
        this.map(panel);
      };
    }
    for (const slider of panel.querySelectorAll("input"))
      slider.oninput = () => this.go(panel, { init: 0, lr: 0, ...this.at, [slider.dataset.of]: Number(slider.value) });
  }

  async map(panel) {
    const asked = { ...this.tools.request(), ...this.ends };
    this.text = asked.text;
    const reply = await this.tools.work("mapping the plane", "plane", asked);
    const picture = panel.querySelector(".picture");
    if (!reply || !picture || this.text !== asked.text) return;
    panel.querySelector(".sliders").hidden = Boolean(reply.problem);
    if (reply.problem) {
      picture.replaceChildren(Object.assign(document.createElement("pre"), { textContent: reply.problem }));
      return;
    }
    this.asked = asked;
    picture.innerHTML = reply.panel;
    const frame = picture.querySelector(".window");
    this.low = number(frame.dataset.low);
    this.high = number(frame.dataset.high);
    for (const slider of panel.querySelectorAll("input")) {
      slider.min = this.low;
      slider.max = this.high;
    }
    picture.querySelector("svg").addEventListener("click", (event) => this.pointed(panel, frame, event));
    this.mark(panel);
  }

  pointed(panel, frame, event) {
    const box = frame.getBoundingClientRect();
    const along = (part) => this.low + part * (this.high - this.low);
    const snapped = (value) => Math.round(value * STEPS) / STEPS;
    const init = snapped(along((event.clientX - box.left) / box.width));
    const lr = snapped(along((box.bottom - event.clientY) / box.height));
    const inside = (value) => Math.min(this.high, Math.max(this.low, value));
    this.go(panel, { init: inside(init), lr: inside(lr) });
  }

  mark(panel) {
    const frame = panel.querySelector(".window");
    for (const slider of panel.querySelectorAll("input")) {
      const value = this.at?.[slider.dataset.of] ?? 0;
      slider.value = value;
      slider.nextSibling.textContent = fraction(value, STEPS);
      slider.setAttribute("aria-valuetext", fraction(value, STEPS));
    }
    frame.parentNode.querySelector(".here")?.remove();
    if (!this.at) return;
    const part = (value) => (value - this.low) / (this.high - this.low);
    const of = (name) => Number(frame.getAttribute(name));
    const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    dot.setAttribute("class", "here");
    dot.setAttribute("cx", of("x") + part(this.at.init) * of("width"));
    dot.setAttribute("cy", of("y") + (1 - part(this.at.lr)) * of("height"));
    dot.setAttribute("r", 7);
    frame.before(dot);
  }

  async go(panel, at) {
    this.at = at;
    this.mark(panel);
    if (this.going) return void (this.again = true);
    this.going = true;
    do {
      this.again = false;
      const { init, lr } = this.at;
      const place = { init: fraction(init, STEPS), lr: fraction(lr, STEPS) };
      this.moved = (await this.tools.revised("point", { ...this.asked, ...place })).text;
    } while (this.again);
    this.going = false;
  }
}
