// Rates by type over the last two minutes. Counting is cheap; drawing happens once a second, when it can be seen.

const SECONDS = 120, MOST = 8;

export class Rates {
  constructor(place) {
    this.place = place;
    this.counts = new Map();
    this.start = Math.floor(Date.now() / 1000);
    this.timer = setInterval(() => this.draw(), 1000);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.names = null; });
    new ResizeObserver(() => this.plot?.setSize({ width: place.clientWidth, height: 150 })).observe(place);
  }

  count(type) {
    const second = Math.floor(Date.now() / 1000);
    let row = this.counts.get(type);
    if (!row) this.counts.set(type, row = new Map());
    row.set(second, (row.get(second) ?? 0) + 1);
  }

  draw() {
    const now = Math.floor(Date.now() / 1000);
    for (const [type, row] of this.counts) {
      for (const second of row.keys()) if (second < now - SECONDS) row.delete(second);
      if (!row.size) this.counts.delete(type);
    }
    if (!this.place.offsetParent || typeof uPlot === "undefined") return;
    const sum = (row) => [...row.values()].reduce((a, b) => a + b, 0);
    const types = [...this.counts].sort((a, b) => sum(b[1]) - sum(a[1])).slice(0, MOST).map(([type]) => type);
    const names = types.join("\n");
    const seconds = Array.from({ length: SECONDS }, (_, place) => now - SECONDS + place);
    const data = [seconds, ...types.map((type) => seconds.map((second) => this.counts.get(type).get(second) ?? 0))];
    if (this.plot && this.names === names) { this.plot.setData(data); return; }
    this.plot?.destroy();
    this.names = names;
    const style = getComputedStyle(document.body), ink = style.getPropertyValue("color");
    const grid = { stroke: "rgb(128 128 128 / 25%)" };
    this.plot = new uPlot({
      width: this.place.clientWidth, height: 150, legend: { show: types.length > 0, live: false }, cursor: { drag: { x: false, y: false } },
      axes: [{ stroke: ink, grid }, { stroke: ink, grid, size: 40 }],
      scales: { y: { range: (_, low, high) => [0, Math.max(5, high ?? 5)] } },
      series: [{}, ...types.map((type, place) => ({ label: type, stroke: `hsl(${(place * 137 + 210) % 360} 65% 50%)`, width: 2 }))],
    }, data, this.place);
  }
}
