// Reads a release from the binary layout of `freshet export`: docs/reference/export.md
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

export class FreshetTable {
  constructor(path) {
    const bytes = new Uint8Array(readFileSync(path)), view = new DataView(bytes.buffer);
    const known = String.fromCharCode(...bytes.subarray(0, 8)) === "FRESHET\0" && view.getUint32(8, true) === 1;
    const sum = createHash("sha256").update(bytes.subarray(0, -32)).digest();
    if (!known || !sum.equals(bytes.subarray(-32))) throw new Error(`${path} is damaged, or no table of version 1`);
    const [k, n, width] = [16, 20, 24].map((at) => view.getUint32(at, true));
    const [rows, , groups, earlier, successors, scores, ids, text, end] =
      [40, 48, 56, 64, 72, 80, 88, 96, 104].map((at) => Number(view.getBigUint64(at, true)));
    [this.k, this.width, this.ids] = [k, width, new Int32Array(bytes.buffer, ids, n)];
    this.groups = new Uint32Array(bytes.buffer, groups, n + 2);
    this.earlier = new Uint32Array(bytes.buffer, earlier, rows);
    this.successors = new Uint16Array(bytes.buffer, successors, rows * width);
    this.scores = new Float32Array(bytes.buffer, scores, rows * width);
    this.index = new Map(Array.from(this.ids, (id, index) => [id, index]));
    this.about = JSON.parse(new TextDecoder().decode(bytes.subarray(text, end - 32)));
  }
  lookUp(context) { // stable ids, most recent last; falls back to the last interests, then to what is popular
    const asked = context.map((id) => this.index.get(id) ?? 0xfffe);
    for (let start = Math.max(0, asked.length - this.k); ; start++) {
      const row = this.find(asked.slice(start)), first = row * this.width, found = [];
      for (let at = first; row >= 0 && at < first + this.width && this.successors[at] !== 0xffff; at++)
        if (!asked.includes(this.successors[at])) found.push([this.ids[this.successors[at]], this.scores[at]]);
      if (found.length || start >= asked.length) return { answered: context.slice(start), successors: found };
    }
  }
  find(context) { // interest indices -> row, -1 where there is none
    const [last, before, first] = [-1, -2, -3].map((place) => context.at(place) ?? -1);
    const key = (before + 1) * 65536 + first + 1, [from = 0, to = 0] = this.groups.subarray(last + 1, last + 3);
    let [low, high] = [from, to];
    for (let half; low < high; ) this.earlier[(half = (low + high) >>> 1)] < key ? (low = half + 1) : (high = half);
    return low < to && this.earlier[low] === key ? low : -1;
  }
}
