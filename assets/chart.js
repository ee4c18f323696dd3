// Charts, drawn from the table beside each: whoever has no script, or does not see, has the table.
import uPlot from "uplot";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const DOLLARS = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 2 });

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
  const chart = new uPlot(
    {
      width: place.clientWidth,
      height: place.clientHeight,
      legend: { show: false },
      cursor: { y: false },
      scales: { y: { range: (_, low, high) => [0, Math.max(high * 1.1, 0.01)] } },
      axes: [
        { ...axis, size: 30, grid: { show: false }, values: (_, ticks) => ticks.map((tick) => new Date(tick * 1000).toLocaleDateString("en", { day: "numeric", month: "short", timeZone: "UTC" })) },
        { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => DOLLARS.format(tick)) },
      ],
      series: [{}, { label: place.dataset.label, fill: bar, stroke: bar, width: 0, paths: uPlot.paths.bars({ size: [0.7, 28], radius: 0.15 }), points: { show: false } }],
    },
    [points.map(([at]) => at), points.map(([, value]) => value)],
    place,
  );
  new ResizeObserver(() => chart.setSize({ width: place.clientWidth, height: place.clientHeight })).observe(place);
};

for (const place of document.querySelectorAll(".chart[data-from]")) draw(place);
