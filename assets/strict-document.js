// No page of ours may carry style of its own, and xterm.js computes some. So what of it is built here is given, as its
// `document`, one whose <style> writes to a sheet that this script owns, and whose <span> takes its style property by
// property. A strict Content-Security-Policy allows both.
const real = globalThis.document;

const setAttribute = function (name, value) {
  if (name === "style") this.style.cssText = value;
  else Element.prototype.setAttribute.call(this, name, value);
};

const styleLike = () => {
  const element = real.createElement("template");
  const sheet = new CSSStyleSheet();
  real.adoptedStyleSheets.push(sheet);
  let text = "";
  Object.defineProperty(element, "textContent", {
    get: () => text,
    set: (value) => {
      text = value;
      sheet.replaceSync(value);
    },
  });
  element.remove = () => {
    real.adoptedStyleSheets = real.adoptedStyleSheets.filter((one) => one !== sheet);
    Element.prototype.remove.call(element);
  };
  return element;
};

const createElement = (name, ...more) => {
  if (name === "style") return styleLike();
  const element = real.createElement(name, ...more);
  if (name === "span") element.setAttribute = setAttribute;
  return element;
};

const bound = new Map();
const strict = new Proxy(real, {
  get: (target, name) => {
    if (name === "createElement") return createElement;
    const value = target[name];
    if (typeof value !== "function") return value;
    if (!bound.has(name)) bound.set(name, value.bind(target));
    return bound.get(name);
  },
  set: (target, name, value) => {
    target[name] = value;
    return true;
  },
});

export { strict as strictDocument };
