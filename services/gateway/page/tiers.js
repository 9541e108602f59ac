// A tier as it is shown everywhere: by colour, by shape and by word; and the badge of where an event comes from.

import { el, Label, mark, show, svg } from "./dom.js";
import { t } from "./words.js";

const NUMERAL = { red: "Ⅰ", orange: "Ⅱ", yellow: "Ⅲ", blue: "Ⅳ" };

/** `红 Ⅰ` or `Red Ⅰ`. */
export const tierWord = (tier) => `${t(tier)} ${NUMERAL[tier]}`;

/** The mark of a tier: its shape in its colour, and its word. */
export class TierMark {
  #use = svg("use", {});
  #word = new Label("span", "word");
  #numeral = new Label("span", "numeral");

  constructor() {
    this.node = el("span", "tier", svg("svg", { "aria-hidden": "true", focusable: "false" }, this.#use), this.#word.node, " ", this.#numeral.node);
  }

  /** Show a tier. */
  set(tier) {
    if (this.node.dataset.tier !== tier) {
      this.node.dataset.tier = tier;
      this.#use.setAttribute("href", `#tier-${tier}`);
    }
    this.#word.set(t(tier));
    this.#numeral.set(NUMERAL[tier]);
  }
}

/** The badge of an origin; nothing for what is real. */
export class OriginBadge {
  #label = new Label("span", "badge origin");

  constructor() {
    this.node = this.#label.node;
    this.node.hidden = true;
  }

  /** Show an origin. */
  set(origin) {
    show(this.node, origin !== "real");
    mark(this.node, "origin", origin);
    this.#label.set(origin === "real" ? "" : t(origin));
  }
}
