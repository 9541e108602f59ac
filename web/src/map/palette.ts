// The map's and the chart's colours (canvases know no CSS variables; they are those of style.css), and its hatches and marks as small pictures: a tier is told by colour and by shape.

import { SHAPE } from "../core/tiers";
import type { Theme, Tier } from "./types";

export interface Palette {
  tier: Record<Tier, string>;
  /** How much of a tier's colour fills a region. */
  wash: number;
  /** What fills a region without warnings, and a lit one. */
  calm: string;
  lit: string;
  /** Borders: of the region, between its children, and under the pointer. */
  edge: string;
  border: string;
  focus: string;
  sensor: string;
  /** Around marks, so that they stand off what is under them. */
  halo: string;
  /** How far a tier's border glows, in pixels; paper does not glow. */
  glow: number;
  text: string;
  quiet: string;
  grid: string;
}

export const PALETTES: Record<Theme, Palette> = {
  dark: {
    tier: { red: "#ff6b70", orange: "#ff9d42", yellow: "#f2d23c", blue: "#62a8ff" },
    wash: 0.3,
    calm: "#14283a",
    lit: "#1e3c55",
    edge: "#5d86a8",
    border: "#3a5a76",
    focus: "#d7ecff",
    sensor: "#7fb2d6",
    halo: "#0a1017",
    glow: 10,
    text: "#eaf0f6",
    quiet: "#9fb2c4",
    grid: "#1b2937",
  },
  light: {
    tier: { red: "#bd1c2a", orange: "#dd6b00", yellow: "#b08800", blue: "#1a5fc0" },
    wash: 0.28,
    calm: "#eef1ee",
    lit: "#dfe8ee",
    edge: "#37485a",
    border: "#7d8b98",
    focus: "#0b3a66",
    sensor: "#4a6f8f",
    halo: "#ffffff",
    glow: 0,
    text: "#14202c",
    quiet: "#4a5a6a",
    grid: "#d8dfe7",
  },
};

const HATCH = 10;

/** How each tier is hatched: the graver, the denser. */
const STROKES: Record<Tier, (to: Path2D) => void> = {
  red: (to) => (slant(to), slant(to, true)),
  orange: (to) => slant(to),
  yellow: (to) => (to.moveTo(0, HATCH / 2), to.lineTo(HATCH, HATCH / 2)),
  blue: (to) => to.arc(HATCH / 2, HATCH / 2, 1, 0, 2 * Math.PI),
};

function slant(to: Path2D, back = false): void {
  for (const shift of [-HATCH, 0, HATCH]) {
    to.moveTo(shift, back ? 0 : HATCH);
    to.lineTo(shift + HATCH, back ? HATCH : 0);
  }
}

function canvas(size: number, ratio: number): [HTMLCanvasElement, CanvasRenderingContext2D] {
  const made = document.createElement("canvas");
  made.width = made.height = size * ratio;
  const context = made.getContext("2d")!;
  context.scale(ratio, ratio);
  return [made, context];
}

/** A tile of a tier's hatch; with `under`, on the washed colour of that ground. */
export function hatch(tier: Tier, palette: Palette, ratio = 1, under?: string): HTMLCanvasElement {
  const [made, context] = canvas(HATCH, ratio);
  if (under !== undefined) {
    context.fillStyle = under;
    context.fillRect(0, 0, HATCH, HATCH);
    context.globalAlpha = palette.wash;
    context.fillStyle = palette.tier[tier];
    context.fillRect(0, 0, HATCH, HATCH);
  }
  const path = new Path2D();
  STROKES[tier](path);
  context.globalAlpha = 0.5;
  context.strokeStyle = palette.tier[tier];
  context.lineWidth = 1.4;
  context.stroke(path);
  return made;
}

/** A tier's mark: its shape in its colour, with a rim. */
export function mark(tier: Tier, palette: Palette, ratio = 1): HTMLCanvasElement {
  const [made, context] = canvas(20, ratio);
  const path = new Path2D(SHAPE[tier]);
  context.translate(2, 2);
  context.scale(16 / 24, 16 / 24);
  context.lineWidth = 5;
  context.lineJoin = "round";
  context.strokeStyle = palette.halo;
  context.stroke(path);
  context.fillStyle = palette.tier[tier];
  context.fill(path);
  return made;
}
