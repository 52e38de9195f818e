// The compiler as the page sees it: questions and answers, and an end to a question.

export class Stopped extends Error {}

export class Compiler {
  constructor(address, onState) {
    this.address = address;
    this.onState = onState;
    this.asked = new Map();
    this.count = 0;
    this.start();
  }

  start() {
    this.worker = new Worker(this.address, { type: "module" });
    this.worker.onmessage = ({ data }) => {
      if (data.state === "broken") this.stop();
      if (data.state) this.onState(data);
      else this.answered(data);
    };
    this.worker.onerror = (event) => this.onState({ state: "failed", reason: event.message });
  }

  answered({ id, reply, took }) {
    const { resolve } = this.asked.get(id) ?? {};
    this.asked.delete(id);
    resolve?.({ ...JSON.parse(reply), took });
  }

  get busy() {
    return this.asked.size > 0;
  }

  ask(what, request = {}) {
    return new Promise((resolve, reject) => {
      const id = ++this.count;
      this.asked.set(id, { resolve, reject });
      this.worker.postMessage({ id, request: JSON.stringify({ do: what, ...request }) });
    });
  }

  /** Ends what is under way, and begins anew. */
  stop() {
    this.worker.terminate();
    const open = [...this.asked.values()];
    this.asked.clear();
    open.forEach(({ reject }) => reject(new Stopped("stopped")));
    this.start();
  }
}
