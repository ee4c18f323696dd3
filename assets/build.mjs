// Builds what the pages load, from the packages of package-lock.json and the sources beside this file, into the folder
// that is given. The same input gives the same bytes, so that a test can hold the committed files to it.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { prune } from "./prune.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2]);
const basecoat = join(here, "node_modules/basecoat-css/dist");

// Of Basecoat's looks only those of the components that the pages use: all of them would be 220 KB of style.
const PARTS = ["Button", "Textarea", "Input", "Native Select", "Alert", "Badge", "Dialog", "Card", "Checkbox", "Radio", "Field", "Empty", "Kbd", "Label", "Table"];

const chosen = () => {
  const looks = readFileSync(join(basecoat, "styles/nova.css"), "utf8").replace(/^@layer components \{/m, "");
  const sections = looks.slice(0, looks.lastIndexOf("}")).split(/^ *\/\* ([A-Z][A-Za-z ]*) \*\/$/m).slice(1);
  const found = new Map();
  for (let place = 0; place < sections.length; place += 2) found.set(sections[place], sections[place + 1]);
  const missing = PARTS.filter((name) => !found.has(name));
  if (missing.length) throw new Error(`Basecoat has no ${missing.join(", ")} any more`);
  const shapes = PARTS.map((name) => `@import "basecoat-css/components/${name.toLowerCase().replace(" ", "-")}";`);
  return [...shapes, "@layer components {", ...PARTS.map((name) => found.get(name)), "}"].join("\n");
};

// The signs beside words, from Lucide: what is inside each <svg>, for the templates to put in place.
const SIGNS = [
  "activity", "arrow-right", "bookmark", "chart-column", "credit-card", "tag", "check", "chevrons-up-down", "circle-alert", "clock", "copy", "cpu", "download", "ellipsis",
  "gauge", "hard-drive", "key-round", "layers", "log-out", "mail", "menu", "monitor", "moon", "pencil", "play", "plus",
  "rocket", "scroll-text", "search", "server", "settings", "shield-check", "square", "sun", "terminal", "trash-2", "triangle-alert", "users",
  "wallet", "x", "zap",
];
const inside = (name) => {
  const sign = readFileSync(join(here, "node_modules/lucide-static/icons", `${name}.svg`), "utf8");
  return sign.slice(sign.indexOf(">", sign.indexOf("<svg")) + 1, sign.lastIndexOf("</svg>")).replace(/\s*\n\s*/g, "");
};

mkdirSync(out, { recursive: true });
writeFileSync(join(out, "signs.json"), `${JSON.stringify(Object.fromEntries(SIGNS.map((name) => [name, inside(name)])), null, 1)}\n`);
writeFileSync(join(here, ".basecoat.css"), chosen());
const tailwind = join(here, "node_modules/@tailwindcss/cli/dist/index.mjs");
const style = execFileSync(process.execPath, [tailwind, "-i", "forebay.css", "-o", "-"], {
  cwd: here,
  stdio: ["ignore", "pipe", "pipe"],
});
writeFileSync(join(out, "forebay.css"), prune(style.toString(), here, join(here, "../src/forebay/web")));

const common = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  legalComments: "inline",
  outdir: out,
  logLevel: "error",
};
await build({ ...common, entryPoints: ["forebay.js", "passkeys.js"] });
await build({
  ...common,
  entryPoints: ["chart.js"],
  inject: ["plain-formats.js"],
  define: { "Intl.NumberFormat": "PlainNumberFormat", "Intl.DateTimeFormat": "PlainDateTimeFormat" },
});
await build({ ...common, entryPoints: ["htmx.js"], format: "esm" });
await build({
  ...common,
  entryPoints: ["terminal.js"],
  inject: ["strict-document.js"],
  define: { document: "strictDocument", "window.document": "strictDocument" },
});
for (const name of ["forebay.svg", "chevron.svg"]) cpSync(join(here, name), join(out, name));
