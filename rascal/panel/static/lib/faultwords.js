// How kinds of faults are ordered, and how the options of a table are written in a form.

const GROUPS = {
  Latency: ["delay", "throttle", "trickle", "stall", "hang", "slice", "slow_close", "reorder"],
  Errors: ["error", "empty", "replace", "stale", "redirect", "rate_limit", "concurrency"],
  Connection: ["refuse", "unreachable", "reset", "close", "blackhole", "lose_request", "lose_reply", "idle_kill", "max_connections", "max_age", "limit", "no_keepalive"],
  Data: ["truncate", "corrupt", "duplicate", "bad_body", "bad_framing", "huge_headers"],
};
/** What a form of a kind begins with. */
export const START = {
  delay: { delay: "500ms" }, throttle: { rate: "10KB/s" }, trickle: { delay: "100ms" }, slice: { size: "10B" }, slow_close: { delay: "2s" },
  rate_limit: { rate: "10/s" }, concurrency: { limit: "1" }, max_connections: { limit: "10" }, idle_kill: { idle: "10s" }, limit: { bytes: "1KB" },
  max_age: { age: "10s" }, truncate: { bytes: "100B" }, corrupt: { share: "1%" }, stale: { age: "10s" },
};

/** "lose_reply" -> "Lose reply". */
export const words = (name) => { const text = String(name).replaceAll("_", " ").replaceAll("-", " "); return text[0].toUpperCase() + text.slice(1); };
/** The entries of an object whose key passes. */
export const mapOf = (object, keep) => Object.fromEntries(Object.entries(object).filter(([key]) => keep(key)));

/** [group, names] of the kinds that are sought. */
export function groups(kinds, sought) {
  const told = new Set(Object.values(GROUPS).flat()), wanted = sought.trim().toLowerCase();
  const fits = (name) => name in kinds && name !== "noop" && (!wanted || words(name).toLowerCase().includes(wanted) || kinds[name].summary.toLowerCase().includes(wanted));
  const all = { ...GROUPS, Other: Object.keys(kinds).filter((name) => !told.has(name)) };
  return Object.entries(all).map(([group, names]) => [group, names.filter(fits)]).filter(([, names]) => names.length);
}

const EXAMPLES = { duration: "2s", distribution: "800ms", size: "10KB", rate: "10/s", throughput: "100KB/s", percentage: "20%", probability: "20%", positive: "1", count: "1", address: "127.0.0.1:80" };
const capital = (text) => (text ? text[0].toUpperCase() + text.slice(1) : "");

export const fields = {
  example: (schema) => EXAMPLES[schema["x-type"]] ?? "",
  hint(schema) {
    const low = schema["x-minimum"] ?? schema.minimum, high = schema["x-maximum"] ?? schema.maximum;
    const bounds = low != null && high != null ? `${low} to ${high}` : low != null && low !== 0 ? `at least ${low}` : high != null ? `at most ${high}` : "";
    const shape = schema["x-type"] === "distribution" ? "also 1s..3s or normal(800ms, 200ms)" : "";
    return [capital(schema.description), bounds, shape].filter(Boolean).join("; ");
  },
  /** What is needed, or said first; and the others. */
  split(table) {
    const all = Object.entries(table?.properties ?? {}), needed = table?.required ?? [];
    const first = all.filter(([name]) => needed.includes(name) || name === table["x-spoken"] || name === "then" || name === "mode");
    const shown = first.length ? first : all.slice(0, 2);
    return [shown, all.filter((one) => !shown.includes(one))];
  },
};
