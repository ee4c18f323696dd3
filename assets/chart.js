// Charts, drawn from the table beside each: whoever has no script, or does not see, has the table.
import uPlot from "uplot";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const DOLLARS = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 2 });
const LEGEND_HEIGHT = 32;

const draw = (place) => {
  const rows = [...document.querySelectorAll(`#${place.dataset.from} tbody tr`)];
  const points = rows.map((row) => [Date.parse(row.dataset.at) / 1000, Number(row.dataset.value)]);
  points.sort(([a], [b]) => a - b);
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
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  const day = (at) => new Date(at * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
  // Half a bar of room at both ends, and a line below for the day that is pointed at, or the last one.
  const half = points.length > 1 ? (points[1][0] - points[0][0]) / 2 : 43200;
  const last = points.at(-1);
  const size = () => ({ width: place.clientWidth, height: place.clientHeight - LEGEND_HEIGHT });
  const chart = new uPlot(
    {
      ...size(),
      cursor: { y: false, points: { show: false } },
      scales: {
        x: { range: (_, low, high) => [low - half, high + half] },
        y: { range: (_, low, high) => [0, Math.max(high * 1.1, 0.01)] },
      },
      axes: [
        { ...axis, size: 32, grid: { show: false }, values: (_, ticks) => ticks.map(day) },
        { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => DOLLARS.format(tick)) },
      ],
      series: [{ label: "Day", value: (_, at) => day(at ?? last[0]) }, { label: place.dataset.label, value: (_, spent) => DOLLARS.format(spent ?? last[1]), fill: bar, stroke: bar, width: 0, paths: uPlot.paths.bars({ size: [0.7, 28], radius: 0.15 }), points: { show: false } }],
    },
    [points.map(([at]) => at), points.map(([, value]) => value)],
    place,
  );
  new ResizeObserver(() => chart.setSize(size())).observe(place);
};

for (const place of document.querySelectorAll(".chart[data-from]")) draw(place);
