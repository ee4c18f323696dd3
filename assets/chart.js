// Charts, drawn from the table beside each: whoever has no script, or does not see, has the table.
import uPlot from "uplot";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const DOLLARS = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 2 });
const SMALL = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumSignificantDigits: 2 });
const money = (ticks) => ticks.map((tick) => (tick > 0 && ticks[1] - ticks[0] < 0.01 ? SMALL : DOLLARS).format(tick));
const FORMATS = {
  hour: { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: "UTC" },
  day: { day: "numeric", month: "short", timeZone: "UTC" },
};

// What the rows of its table say: times in seconds, and what stands at each; steps go on until the end that is said.
const read = (place) => {
  const table = document.getElementById(place.dataset.from);
  const rows = [...table.querySelectorAll("tbody tr")].map(({ dataset }) => [Date.parse(dataset.at) / 1000, Number(dataset.value), Number(dataset.total)]);
  rows.sort(([a], [b]) => a - b);
  if (table.dataset.until) rows.push([Math.max(Date.parse(table.dataset.until) / 1000, rows.at(-1)[0] + 1), rows.at(-1)[1], 0]);
  return [0, 1, 2].map((column) => rows.map((row) => row[column]));
};

const draw = (place) => {
  const [times, values, totals] = read(place);
  const hasTotal = Boolean(place.dataset.total);
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
  const isHourly = place.dataset.unit === "hour";
  const word = (at) => new Date(at * 1000).toLocaleString("en", FORMATS[isHourly && at % 86400 !== 0 ? "hour" : "day"]);
  // Room for half a bar at both ends.
  const room = isHourly ? 1800 : place.dataset.unit === "week" ? 302400 : 43200;
  const range = (_, low, high) => [0, Math.max(high * 1.1, 0.000001)];
  const bars = { fill: bar, width: 0, paths: uPlot.paths.bars({ size: [0.7, 28], radius: 0.15 }) };
  const steps = { width: 2, paths: uPlot.paths.stepped({ align: 1 }) };
  const form = place.dataset.form === "steps" ? steps : bars;
  const chart = new uPlot(
    {
      width: place.clientWidth,
      height: place.clientHeight,
      legend: { show: false },
      cursor: { y: false },
      // Times of all the world's machines are those of UTC: so are the ticks between them.
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      scales: { x: { range: (_, low, high) => [low - room, high + room] }, y: { range }, total: { range } },
      axes: [
        { ...axis, grid: { show: false }, size: 32, values: (_, ticks) => ticks.map(word) },
        { ...axis, size: 64, values: (_, ticks) => money(ticks) },
        ...(hasTotal ? [{ ...axis, scale: "total", side: 1, size: 64, grid: { show: false }, values: (_, ticks) => money(ticks) }] : []),
      ],
      series: [
        {},
        { label: place.dataset.label, stroke: bar, points: { show: false }, ...form },
        ...(hasTotal ? [{ label: place.dataset.total, scale: "total", stroke: second, width: 1.5, points: { show: false } }] : []),
      ],
    },
    hasTotal ? [times, values, totals] : [times, values],
    place,
  );
  new ResizeObserver(() => chart.setSize({ width: place.clientWidth, height: place.clientHeight })).observe(place);
};

for (const place of document.querySelectorAll(".chart[data-from]")) draw(place);
for (const key of document.querySelectorAll("[data-with-chart]")) key.hidden = false;
