// The few ways in which this page touches the DOM: elements, texts that are only written when they changed, and keyed lists.

/** A new element with a class and children (nodes or strings; strings become text, never markup). */
export function el(tag, className = "", ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** A new SVG element with attributes. */
export function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** The element with an id of `index.html`. */
export const byId = (id) => document.getElementById(id);

/** An element that holds one text, written only when it differs. */
export class Label {
  #text = document.createTextNode("");
  #shown = "";

  constructor(tag = "span", className = "") {
    this.node = el(tag, className, this.#text);
  }

  /** Show a text. */
  set(text) {
    if (text === this.#shown) return;
    this.#shown = text;
    this.#text.data = text;
  }
}

/** Set or remove a data attribute, only when it differs; empty removes. */
export function mark(node, name, value) {
  if ((node.dataset[name] ?? "") === value) return;
  if (value === "") delete node.dataset[name];
  else node.dataset[name] = value;
}

/** Show or hide, only when it differs. */
export function show(node, shown) {
  if (node.hidden === shown) node.hidden = !shown;
}

function place(parent, node, before) {
  // moveBefore keeps focus and scroll of what is moved; browsers without it lose them.
  if (parent.moveBefore && node.isConnected) parent.moveBefore(node, before);
  else parent.insertBefore(node, before);
}

/**
 * A list whose children follow keys: `make(key)` builds an item with a `node`, which lives until its key goes.
 *
 * Children are moved only where the order differs, so an unchanged list costs no DOM work.
 */
export class KeyedList {
  items = new Map();
  #parent;
  #make;

  constructor(parent, make) {
    this.#parent = parent;
    this.#make = make;
  }

  /** Make the children those of `keys`, in that order. */
  sync(keys) {
    const wanted = new Set(keys);
    for (const [key, item] of this.items) {
      if (wanted.has(key)) continue;
      item.node.remove();
      this.items.delete(key);
    }
    let cursor = this.#parent.firstElementChild;
    for (const key of wanted) cursor = this.#put(key, cursor);
  }

  #put(key, cursor) {
    let item = this.items.get(key);
    if (!item) this.items.set(key, (item = this.#make(key)));
    if (item.node === cursor) return cursor.nextElementSibling;
    if (cursor !== null && cursor.nextElementSibling === item.node) {
      place(this.#parent, cursor, null); // the one at the cursor went further down: one move instead of many
      return item.node.nextElementSibling;
    }
    place(this.#parent, item.node, cursor);
    return cursor;
  }

  /** Drop all items: they are built anew by the next `sync`. */
  clear() {
    for (const item of this.items.values()) item.node.remove();
    this.items.clear();
  }
}
