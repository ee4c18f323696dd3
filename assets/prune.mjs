// Leaves out of the style what no page can use: rules whose classes, or the values of attributes they ask for, stand in no
// template and no script of ours; and what is there for browsers too old for light-dark(), which the colours need anyhow.
// It asks no more of a name than Tailwind does: that it is written out somewhere.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { transform } from "lightningcss";
import postcss from "postcss";
import parser from "postcss-selector-parser";

const BROWSERS = { chrome: 123 << 16, firefox: 120 << 16, safari: (17 << 16) | (5 << 8) };
const OTHERS = /^(u-|uplot$)/; // Classes that uPlot gives.

const texts = (folder, ...kinds) =>
  readdirSync(folder)
    .filter((name) => kinds.some((kind) => name.endsWith(kind)))
    .map((name) => readFileSync(join(folder, name), "utf8"));

const namesIn = (text) => text.match(/[a-zA-Z][\w-]*/g) ?? [];

// Of a template the names of elements are no classes.
const used = (assets, web) => {
  const templates = texts(join(web, "templates"), ".html").map((text) => text.replace(/<\/?[a-z]\w*/g, " "));
  const scripts = [...texts(assets, ".js"), ...texts(web, ".py")];
  const classes = new Set(templates.concat(scripts.join(" ").match(/"[^"\n]*"|'[^'\n]*'/g) ?? []).flatMap(namesIn));
  return { classes, words: new Set([...texts(join(web, "templates"), ".html"), ...scripts].flatMap(namesIn)) };
};

export const prune = (style, assets, web) => {
  const { classes, words } = used(assets, web);
  const isKnown = (node) => {
    if (node.type === "class") return /[^a-z-]/.test(node.value) || OTHERS.test(node.value) || classes.has(node.value);
    if (node.type === "attribute") return words.has(node.attribute) && (node.operator !== "=" || !/^[a-z]/i.test(node.value) || words.has(node.value));
    return true;
  };
  const canMatch = (selector) =>
    selector.nodes.every((node) => {
      if (node.type !== "pseudo" || !node.nodes.length) return isKnown(node);
      for (const inner of [...node.nodes]) if (!canMatch(inner)) inner.remove();
      if (node.nodes.length) return true;
      if (node.value === ":not") node.remove();
      return node.value === ":not";
    });

  const sheet = postcss.parse(style);
  sheet.walkAtRules("supports", (rule) => {
    if (!rule.params.includes("color-mix(")) return;
    rule.walkDecls((better) => {
      const before = rule.prev();
      if (better.parent === rule && before?.type === "decl" && before.prop === better.prop) before.remove();
    });
    rule.replaceWith(rule.nodes);
  });
  sheet.walkRules((rule) => {
    if (rule.parent.name === "keyframes") return;
    const selectors = parser().astSync(rule.selector);
    for (const selector of [...selectors.nodes]) if (!canMatch(selector)) selector.remove();
    if (selectors.nodes.length) rule.selector = String(selectors).trim();
    else rule.remove();
  });
  return transform({ filename: "forebay.css", code: Buffer.from(sheet.toString()), minify: true, targets: BROWSERS }).code;
};
