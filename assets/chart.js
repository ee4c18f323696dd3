// Charts, drawn from the table beside each: whoever has no script, or does not see, has the table.
import uPlot from "uplot";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const LEGEND_HEIGHT = 32;
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const PARTS = { hour: ["Hour", 3600], day: ["Day", 86400], week: ["Week from", 604800] };

// Written out here: the browser's own formats of numbers and times take longer to load than a chart to be drawn.
const dollars = (amount) => `$${amount.toFixed(2).replace(/\d(?=(\d{3})+\.)/g, "$&,")}`;
const small = (amount) => `$${Number(amount.toPrecision(2))}`;
const money = (amount) => (amount > 0 && amount < 0.01 ? small : dollars)(amount);
const amounts = (_, ticks) => ticks.map((tick) => (ticks[1] - ticks[0] < 0.01 && tick > 0 ? small : dollars)(tick));
const day = (at) => `${new Date(at * 1000).getUTCDate()} ${MONTHS[new Date(at * 1000).getUTCMonth()]}`;
const hour = (at) => new Date(at * 1000).toISOString().slice(11, 16);

// What the rows of its table say: times in seconds, and what stands at each; steps go on until the end that is said.
const read = (place) => {
  const table = document.getElementById(place.dataset.from);
  const rows = [...table.querySelectorAll("tbody tr")].map(({ dataset }) => [Date.parse(dataset.at) / 1000, Number(dataset.value), Number(dataset.total)]);
  rows.sort(([a], [b]) => a - b);
  if (table.dataset.until) rows.push([Math.max(Date.parse(table.dataset.until) / 1000, rows.at(-1)[0] + 1), rows.at(-1)[1], 0]);
  return [0, 1, 2].map((column) => rows.map((row) => row[column]));
};

// What each chart shows now, and how to let go of it.
const drawn = new WeakMap();

const draw = (place) => {
  const said = document.getElementById(place.dataset.from)?.innerHTML;
  if (!said || drawn.get(place)?.said === said) return;
  drawn.get(place)?.end();
  const [times, values, totals] = read(place);
  const resolve = (value) => {
    const probe = document.createElement("span");
    probe.style.color = value;
    place.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const ink = resolve(colour("--muted-foreground"));
  const line = resolve(colour("--border"));
  const bar = resolve(colour("--chart-1"));
  const second = resolve(colour("--foreground"));
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  // Half a bar of room at both ends, and a line below for what is pointed at, or the last.
  const [name, seconds] = PARTS[place.dataset.unit ?? "day"];
  const isHourly = seconds === 3600;
  const isSteps = place.dataset.form === "steps";
  const tick = (at) => (isHourly && at % 86400 !== 0 ? hour : day)(at);
  const moment = (at) => (isHourly || isSteps ? `${day(at)}, ${hour(at)}` : day(at));
  const below = () => Math.max(LEGEND_HEIGHT, place.querySelector(".u-legend")?.offsetHeight ?? 0);
  const size = () => ({ width: place.clientWidth, height: place.clientHeight - below() });
  const range = (_, low, high) => [0, Math.max(high * 1.1, 0.000001)];
  const value = (all) => (_, amount) => money(amount ?? all.at(-1));
  const form = isSteps ? { width: 2, paths: uPlot.paths.stepped({ align: 1 }) } : { fill: bar, width: 0, paths: uPlot.paths.bars({ size: [0.7, 28], radius: 0.15 }) };
  const options = {
    ...size(),
    cursor: { y: false, points: { show: false } },
    // Times of all the world's machines are those of UTC: so are the ticks between them.
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
    scales: { x: { range: (_, low, high) => [low - seconds / 2, high + seconds / 2] }, y: { range }, total: { range } },
    axes: [
      { ...axis, size: 32, grid: { show: false }, values: (_, ticks) => ticks.map(tick) },
      { ...axis, size: 64, values: amounts },
    ],
    series: [
      { label: isSteps ? "From" : name, value: (_, at) => moment(at ?? times.at(-1)) },
      { label: place.dataset.label, value: value(values), stroke: bar, points: { show: false }, ...form },
    ],
  };
  if (place.dataset.total) {
    options.axes.push({ ...axis, scale: "total", side: 1, size: 64, grid: { show: false }, values: amounts });
    options.series.push({ label: place.dataset.total, value: value(totals), scale: "total", stroke: second, width: 1.5, points: { show: false } });
  }
  const chart = new uPlot(options, place.dataset.total ? [times, values, totals] : [times, values], place);
  const watch = new ResizeObserver(() => chart.setSize(size()));
  watch.observe(place);
  const end = () => {
    watch.disconnect();
    chart.destroy();
  };
  drawn.set(place, { said, end });
};

const places = () => document.querySelectorAll(".chart[data-from]");
const showKeys = () => {
  for (const key of document.querySelectorAll("[data-with-chart]")) key.hidden = false;
};
// One after the other, once the page is there to be read and used; and again when a table has been brought up to date.
for (const place of places()) setTimeout(draw, 0, place);
showKeys();
document.addEventListener("forebay:fresh", () => {
  places().forEach(draw);
  showKeys();
});
