// htmx, and the one thing of its inside that we use by ourselves: changing a part of the page into its new state without
// touching what stayed the same, so that focus, scroll and what is being read remain. It is three quarters of all script, so
// it is a module of its own: on pages with htmx's attributes from the start, on others with the first change.
import htmx from "htmx.org/dist/htmx.esm.js";

let change;
htmx.registerExtension("forebay", {
  init: (inside) => {
    change = inside.morph;
  },
  // What somebody has opened stays open, and what our script has shown stays shown.
  htmx_before_morph_attr: (part, { attrName }) =>
    !(attrName === "open" && part.matches("details")) && !(attrName === "hidden" && part.matches("[data-copies]")),
});

export const morph = (old, fresh) => {
  const holder = document.createDocumentFragment();
  holder.append(document.importNode(fresh, true));
  change(old, holder, false);
};
export default htmx;
