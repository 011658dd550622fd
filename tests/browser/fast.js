// In place of the panel's stream: one that lives GIVEN.speed times as fast. GIVEN stands before this.
(() => {
  const { snapshot, speed } = GIVEN;
  const sources = [];
  const row = (t) => snapshot.columns.map((name) => (name === "t" ? t
    : name.startsWith("p") ? 5 + ((t * 7919) % 40)
      : name === "attempts" ? 1
        : 100 + ((t * 104729) % 50)));
  const exchange = (t, n) => ({
    t, kind: "call", flow: "order", scenario: "order", status: 200, ms: 5, outcome: "served",
    text: `POST /order ${t}.${n}`, method: "POST", url: "/order", fault: null,
  });
  let id = 0;
  window.fast = { seconds: 0, stands: false };
  window.EventSource = class extends EventTarget {
    static CONNECTING = 0; static OPEN = 1; static CLOSED = 2;
    constructor(url) {
      super();
      this.url = url;
      this.readyState = 1;
      sources.push(this);
      setTimeout(() => { this.onopen?.(new Event("open")); this.tell("snapshot", snapshot); }, 20);
    }
    tell(kind, data) {
      id += 1;
      const event = new MessageEvent(kind, { data: JSON.stringify(data), lastEventId: `fast-${id}` });
      this.dispatchEvent(event);
    }
    close() {
      this.readyState = 2;
      const at = sources.indexOf(this);
      if (at >= 0) sources.splice(at, 1);
    }
  };
  setInterval(() => {
    if (window.fast.stands) return;
    for (let n = 0; n < Math.max(1, speed / 20); n++) {
      const t = snapshot.rows.length + window.fast.seconds++;
      for (const source of sources) {
        source.tell("second", row(t));
        source.tell("state", { ...snapshot.state, t, closed: t - 1 });
        if (t % 5 === 0) source.tell("exchanges", [0, 1, 2, 3, 4].map((one) => exchange(t, one)));
        if (t % 10 === 0) source.tell("log", [{ t, kind: "note", text: `second ${t}`, agent: "", by: "" }]);
      }
    }
  }, 50);
})();
