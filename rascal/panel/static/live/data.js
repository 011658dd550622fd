// The seconds of a run as columns. Bounded: of a run that is looked at for a day the beginning becomes coarse,
// with the least and the most of what each row stands for.
const MOST = 7200; // single seconds that are kept
const KEEP = 3600; // of them, those that stay when it is too many
const MEAN_OF = 10, LONG = 60; // seconds of a coarse row, and of one in a very long run
const COARSE = 5000;

export class Seconds {
  constructor(names) {
    this.names = names;
    this.at = Object.fromEntries(names.map((name, i) => [name, i]));
    this.columns = names.map(() => []);
    this.low = names.map(() => []);
    this.high = names.map(() => []);
    this.coarse = 0; // rows at the beginning that stand for `step` seconds each
    this.step = 1;
    this.version = 0;
    this.sums = null;
  }

  /** What a snapshot has; coarse rows come first. */
  fill(rows, fine, bands) {
    for (const row of rows) {
      if (bands && row[0] < fine) this.coarse += 1;
      row.forEach((value, i) => this.columns[i].push(value));
    }
    if (!bands) return;
    this.step = bands.step;
    const least = new Map(bands.least.map((row) => [row[0], row])), most = new Map(bands.most.map((row) => [row[0], row]));
    for (const t of this.columns[0].slice(0, this.coarse)) {
      this.names.forEach((_, i) => { this.low[i].push(least.get(t)?.[i] ?? null); this.high[i].push(most.get(t)?.[i] ?? null); });
    }
    this.version += 1;
  }

  get length() { return this.columns[0].length; }
  get last() { return this.length ? this.columns[0][this.length - 1] : -1; }
  get(name) { return this.columns[this.at[name]]; }
  row(i) { return this.columns.map((column) => column[i]); }

  add(row) {
    if (this.length && row[0] <= this.last) { this.amend(row); return; } // told twice, after a reconnect
    row.forEach((value, i) => this.columns[i].push(value));
    this.version += 1;
    if (this.length - this.coarse > MOST) this.fold();
  }

  /** A row that was told before and has grown. */
  amend(row) {
    const i = this.index(row[0]);
    if (i >= this.coarse && this.columns[0][i] === row[0]) { row.forEach((value, c) => { this.columns[c][i] = value; }); this.version += 1; }
  }

  /** The last row at or before a moment; -1 before the first. */
  index(t) {
    const times = this.columns[0];
    let low = 0, high = times.length;
    while (low < high) { const mid = (low + high) >> 1; if (times[mid] <= t) low = mid + 1; else high = mid; }
    return low - 1;
  }

  /** Make old seconds coarse. */
  fold() {
    if (this.coarse === 0) this.step = MEAN_OF;
    const first = this.columns[0][this.coarse], ends = Math.floor((this.last - KEEP) / this.step) * this.step;
    this.squeeze(this.coarse, this.index(ends - 1) + 1, first, this.step);
    if (this.coarse > COARSE && this.step < LONG) {
      const was = this.coarse;
      this.step = LONG;
      this.coarse = 0;
      this.squeeze(0, was, this.columns[0][0], LONG);
    }
  }

  squeeze(from, to, first, step) {
    const groups = [];
    for (let i = from; i < to; i += 1) {
      const number = Math.floor((this.columns[0][i] - first) / step);
      (groups[number] ??= []).push(i);
    }
    const had = this.low[0].length; // rows that were coarse already have bands of their own
    const made = groups.filter(Boolean).map((rows) => this.names.map((_, c) => {
      const known = rows.map((i) => this.columns[c][i]).filter((v) => v != null);
      const least = rows.map((i) => (i < had ? this.low[c][i] : this.columns[c][i])).filter((v) => v != null);
      const most = rows.map((i) => (i < had ? this.high[c][i] : this.columns[c][i])).filter((v) => v != null);
      if (c === 0) return [this.columns[0][rows[0]], this.columns[0][rows[0]], this.columns[0][rows[0]]];
      return known.length ? [known.reduce((a, b) => a + b, 0) / known.length, Math.min(...least), Math.max(...most)] : [null, null, null];
    }));
    this.names.forEach((_, c) => {
      this.columns[c].splice(from, to - from, ...made.map((row) => row[c][0]));
      this.low[c].splice(from, this.low[c].length - from, ...made.map((row) => row[c][1]));
      this.high[c].splice(from, this.high[c].length - from, ...made.map((row) => row[c][2]));
    });
    this.coarse = from + made.length;
    this.version += 1;
  }
}
