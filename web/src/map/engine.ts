// What draws a map: MapLibre GL where WebGL works, else ECharts. Each is a chunk of its own, and only the one that is needed is loaded.

import type { Place } from "./outlines";
import type { Scene } from "./scene";
import type { Theme } from "./types";

export type Hovered = { kind: "region"; code: string } | { kind: "sensor"; id: string };

/** Pixels of the box that are left to buttons and remarks when the whole map is shown. */
export const MARGIN = { top: 22, right: 52, bottom: 60, left: 22 };

/** What an engine tells. */
export interface Listener {
  pressed: (on: Hovered) => void;
  hovered: (on: Hovered | null) => void;
  /** Places have moved on the screen. */
  moved: () => void;
  /** It cannot go on drawing (the graphics context is lost); it is to be destroyed. */
  lost: () => void;
}

export interface Engine {
  show: (scene: Scene) => void;
  paint: (theme: Theme) => void;
  /** Show a region as lit, as the pointer does; null for none. */
  light: (code: string | null) => void;
  /** Pixels from the left and the top of the box. */
  project: (at: Place) => [number, number];
  /** Enlarge by so many steps; below 0 make smaller. */
  zoom: (steps: number) => void;
  /** Show the whole map again. */
  fit: () => void;
  resize: () => void;
  destroy: () => void;
}

/** Starts an engine in a box: resolves when it has drawn, rejects when it cannot draw there. */
export type Start = (box: HTMLElement, scene: Scene, theme: Theme, listener: Listener) => Promise<Engine>;

/** Whether this browser can draw by WebGL 2, which MapLibre needs. */
export function webglWorks(): boolean {
  try {
    const context = document.createElement("canvas").getContext("webgl2");
    context?.getExtension("WEBGL_lose_context")?.loseContext();
    return context !== null;
  } catch {
    return false;
  }
}

const maplibre = async (): Promise<Start> => (await import("./maplibre")).start;
const echarts = async (): Promise<Start> => (await import("./echarts")).start;

/** Starts the best engine that works here; `plain` leaves WebGL out. */
export async function startBest(plain: boolean, ...given: Parameters<Start>): Promise<Engine> {
  if (plain || !webglWorks()) return (await echarts())(...given);
  try {
    return await (await maplibre())(...given);
  } catch (error) {
    console.warn("no map by WebGL, drawing it without", error);
    given[0].replaceChildren();
    return (await echarts())(...given);
  }
}
