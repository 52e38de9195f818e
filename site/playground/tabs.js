// Tabs, as the arrow keys and readers of screens expect them.

export class Tabs {
  constructor(list, panel, names, onOpen) {
    this.onOpen = onOpen;
    this.panel = panel;
    this.tabs = names.map(([name, label]) => {
      const tab = Object.assign(document.createElement("button"), { id: `tab-${name}`, textContent: label });
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", panel.id);
      tab.dataset.name = name;
      tab.onclick = () => this.select(name, true);
      list.append(tab);
      return tab;
    });
    list.addEventListener("keydown", (event) => this.moved(event));
    this.mark(names[0][0]);
  }

  mark(name) {
    this.open = name;
    for (const tab of this.tabs) {
      const here = tab.dataset.name === name;
      tab.setAttribute("aria-selected", here);
      tab.tabIndex = here ? 0 : -1;
    }
    this.panel.setAttribute("aria-labelledby", `tab-${name}`);
    this.panel.dataset.name = name;
  }

  select(name, tell = false) {
    this.mark(name);
    if (tell) this.onOpen(name);
  }

  moved(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (!step) return;
    const here = this.tabs.findIndex((tab) => tab.dataset.name === this.open);
    const count = this.tabs.length;
    const next = Number.isFinite(step) ? (here + step + count) % count : step < 0 ? 0 : count - 1;
    this.tabs[next].focus();
    this.tabs[next].click();
    event.preventDefault();
  }
}
