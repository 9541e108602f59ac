// The map by MapLibre GL: no tiles, no glyphs, no sprite, so nothing is asked of anybody. Labels are the page's own elements, over it.

import "maplibre-gl/dist/maplibre-gl.css";
import { type ExpressionSpecification, type GeoJSONSource, type LayerSpecification, Map as GLMap, type MapMouseEvent, setWorkerUrl } from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import { TIERS } from "../core/tiers";
import { type Engine, type Hovered, type Listener, MARGIN, type Start } from "./engine";
import { hatch, mark, type Palette, PALETTES } from "./palette";
import type { Scene } from "./scene";

setWorkerUrl(workerUrl);

const RATIO = 2; // pictures are made for dense screens and shown at half their size
const START_MS = 10_000; // a graphics driver that is not ready by then never will be
const DRAW_MS = 5_000; // nothing is drawn in a hidden tab; the labels may stand there alone

const tells: ExpressionSpecification = ["get", "tells"];
const warns: ExpressionSpecification = ["!=", ["get", "look"], "none"];
const lit: ExpressionSpecification = ["boolean", ["feature-state", "lit"], false];

function byTier(palette: Palette, none: string | ExpressionSpecification): ExpressionSpecification {
  const { red, orange, yellow, blue } = palette.tier;
  return ["match", ["get", "look"], "red", red, "orange", orange, "yellow", yellow, "blue", blue, none];
}

function regionLayers(palette: Palette): LayerSpecification[] {
  const source = "regions";
  const dashes = (schematic: boolean): LayerSpecification => ({
    id: schematic ? "schematic-border" : "border",
    type: "line",
    source,
    filter: ["all", tells, ["==", ["get", "schematic"], schematic]],
    layout: { "line-join": "round" },
    paint: {
      "line-color": ["case", lit, palette.focus, byTier(palette, palette.border)],
      "line-width": ["case", lit, 2.2, warns, 1.6, 1],
      ...(schematic ? { "line-dasharray": [3, 2] } : {}),
    },
  });
  return [
    { id: "ground", type: "fill", source, filter: tells, paint: { "fill-color": ["case", lit, palette.lit, palette.calm] } },
    { id: "wash", type: "fill", source, filter: ["all", tells, warns], paint: { "fill-color": byTier(palette, palette.calm), "fill-opacity": palette.wash } },
    { id: "hatch", type: "fill", source, filter: ["all", tells, warns], paint: { "fill-pattern": ["concat", "hatch-", ["get", "look"]] } },
    {
      id: "glow",
      type: "line",
      source,
      filter: ["all", tells, warns],
      layout: { "line-join": "round", visibility: palette.glow > 0 ? "visible" : "none" },
      paint: { "line-color": byTier(palette, palette.border), "line-width": palette.glow, "line-blur": palette.glow, "line-opacity": 0.7 },
    },
    dashes(false),
    dashes(true),
    { id: "edge", type: "line", source, filter: ["!", tells], layout: { "line-join": "round" }, paint: { "line-color": palette.edge, "line-width": 1.6, "line-opacity": 0.8 } },
  ];
}

function sensorLayers(palette: Palette): LayerSpecification[] {
  const source = "sensors";
  const size: ExpressionSpecification = ["interpolate", ["linear"], ["zoom"], 8, 2, 13, ["case", ["get", "small"], 3, 4.5]];
  return [
    {
      id: "sensor",
      type: "circle",
      source,
      filter: ["!", warns],
      paint: { "circle-radius": size, "circle-color": palette.sensor, "circle-stroke-color": palette.halo, "circle-stroke-width": 1, "circle-opacity": 0.9 },
    },
    {
      id: "warning",
      type: "symbol",
      source,
      filter: warns,
      layout: { "icon-image": ["concat", "mark-", ["get", "look"]], "icon-size": ["case", ["get", "small"], 0.55, 0.9], "icon-allow-overlap": true, "icon-ignore-placement": true, "symbol-sort-key": ["get", "order"] },
    },
  ];
}

const LAYERS_OF_SENSORS = ["warning", "sensor"];

class MapLibre implements Engine {
  #map: GLMap;
  #scene: Scene;
  #listener: Listener;
  #lit: string | null = null;
  #painted = false;

  constructor(map: GLMap, scene: Scene, listener: Listener) {
    this.#map = map;
    this.#scene = scene;
    this.#listener = listener;
    map.addSource("regions", { type: "geojson", data: scene.regions, promoteId: "code" });
    map.addSource("sensors", { type: "geojson", data: scene.sensors });
    map.on("move", () => listener.moved());
    map.on("mousemove", (event) => this.#hover(event));
    map.on("mouseout", () => listener.hovered(null));
    map.on("click", (event) => this.#press(event));
    map.on("webglcontextlost", () => listener.lost());
  }

  show(scene: Scene): void {
    this.#scene = scene;
    this.#map.getSource<GeoJSONSource>("regions")?.setData(scene.regions);
    this.#map.getSource<GeoJSONSource>("sensors")?.setData(scene.sensors);
  }

  paint(theme: keyof typeof PALETTES): void {
    const palette = PALETTES[theme];
    for (const tier of TIERS) {
      this.#picture(`hatch-${tier}`, hatch(tier, palette, RATIO));
      this.#picture(`mark-${tier}`, mark(tier, palette, RATIO));
    }
    for (const layer of [...regionLayers(palette), ...sensorLayers(palette)]) {
      if (this.#painted) this.#map.removeLayer(layer.id);
      this.#map.addLayer(layer);
    }
    this.#painted = true;
  }

  light(code: string | null): void {
    if (code === this.#lit) return;
    if (this.#lit !== null) this.#map.setFeatureState({ source: "regions", id: this.#lit }, { lit: false });
    if (code !== null) this.#map.setFeatureState({ source: "regions", id: code }, { lit: true });
    this.#lit = code;
  }

  project(at: [number, number]): [number, number] {
    const { x, y } = this.#map.project(at);
    return [x, y];
  }

  zoom(steps: number): void {
    this.#map.easeTo({ zoom: this.#map.getZoom() + steps * 0.7, duration: 200 });
  }

  fit(): void {
    this.#map.fitBounds(this.#scene.box, { padding: MARGIN, duration: 0 });
  }

  resize(): void {
    this.#map.resize();
    this.fit();
  }

  destroy(): void {
    this.#map.remove();
  }

  #picture(name: string, drawn: HTMLCanvasElement): void {
    if (this.#map.hasImage(name)) this.#map.removeImage(name);
    const { width, height } = drawn;
    this.#map.addImage(name, drawn.getContext("2d")!.getImageData(0, 0, width, height), { pixelRatio: RATIO });
  }

  #at({ point }: MapMouseEvent): Hovered | null {
    const around: [[number, number], [number, number]] = [[point.x - 5, point.y - 5], [point.x + 5, point.y + 5]];
    const sensor = this.#map.queryRenderedFeatures(around, { layers: LAYERS_OF_SENSORS })[0];
    if (sensor) return { kind: "sensor", id: String(sensor.properties["id"]) };
    const region = this.#map.queryRenderedFeatures(point, { layers: ["ground"] })[0];
    return region ? { kind: "region", code: String(region.properties["code"]) } : null;
  }

  #hover(event: MapMouseEvent): void {
    const on = this.#at(event);
    this.#map.getCanvas().style.cursor = on === null ? "" : "pointer";
    this.#listener.hovered(on);
  }

  #press(event: MapMouseEvent): void {
    const on = this.#at(event);
    if (on !== null) this.#listener.pressed(on);
  }
}

function loaded(map: GLMap): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("the map drew nothing")), START_MS);
    map.once("style.load", () => (clearTimeout(late), resolve()));
    map.once("webglcontextlost", () => (clearTimeout(late), reject(new Error("the graphics context was lost"))));
    map.once("error", ({ error }) => (clearTimeout(late), reject(error)));
  });
}

/** Waits until all is drawn. */
function drawn(map: GLMap): Promise<void> {
  return new Promise((resolve) => {
    const late = setTimeout(resolve, DRAW_MS);
    map.once("idle", () => (clearTimeout(late), resolve()));
  });
}

export const start: Start = async (box, scene, theme, listener) => {
  const map = new GLMap({
    container: box,
    style: { version: 8, sources: {}, layers: [] },
    bounds: scene.box,
    fitBoundsOptions: { padding: MARGIN },
    attributionControl: false,
    cooperativeGestures: true, // the page scrolls under a finger or a wheel; a map that fills a phone must not swallow that
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    maxPitch: 0,
    renderWorldCopies: false,
    fadeDuration: 0,
    keyboard: false, // its canvas is no stop of the keyboard's: the labels over it are
    trackResize: false,
  });
  try {
    await loaded(map);
  } catch (error) {
    map.remove();
    throw error;
  }
  map.touchZoomRotate.disableRotation();
  map.getCanvas().tabIndex = -1;
  const engine = new MapLibre(map, scene, listener);
  engine.paint(theme);
  await drawn(map);
  return engine;
};
