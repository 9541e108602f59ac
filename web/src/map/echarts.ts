// The map by ECharts' geo component on a plain canvas, where WebGL does not work: the same shapes, hatches and marks.

import { ScatterChart, type ScatterSeriesOption } from "echarts/charts";
import { GeoComponent, type GeoComponentOption } from "echarts/components";
import { type ComposeOption, type ECharts, init, registerMap, use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { TIERS } from "../core/tiers";
import { type Engine, type Hovered, type Listener, MARGIN, type Start } from "./engine";
import type { Place } from "./outlines";
import { hatch, mark, type Palette, PALETTES } from "./palette";
import type { Look, RegionLook, Scene } from "./scene";
import type { Theme, Tier } from "./types";

use([GeoComponent, ScatterChart, CanvasRenderer]);

type Option = ComposeOption<GeoComponentOption | ScatterSeriesOption>;
type Fill = string | { image: HTMLCanvasElement; repeat: "repeat" };

const STEP = 1.6;
let maps = 0; // ECharts keeps maps by name, for all charts

/** What the style of a region is made of, by its tier. */
class Inks {
  readonly palette: Palette;
  readonly #fills: Record<Tier, Fill>;
  readonly #marks: Record<Tier, string>;

  constructor(theme: Theme) {
    this.palette = PALETTES[theme];
    const each = <Made>(make: (tier: Tier) => Made): Record<Tier, Made> => Object.fromEntries(TIERS.map((tier) => [tier, make(tier)])) as Record<Tier, Made>;
    this.#fills = each((tier) => ({ image: hatch(tier, this.palette, 1, this.palette.calm), repeat: "repeat" }));
    this.#marks = each((tier) => `image://${mark(tier, this.palette, 2).toDataURL()}`);
  }

  fill(look: Look): Fill {
    return look === "none" ? this.palette.calm : this.#fills[look];
  }

  line(look: Look): string {
    return look === "none" ? this.palette.border : this.palette.tier[look];
  }

  symbol(look: Look): string {
    return look === "none" ? "circle" : this.#marks[look];
  }
}

class Canvas implements Engine {
  #chart: ECharts;
  #box: HTMLElement;
  #scene: Scene;
  #inks: Inks;
  #name = `tongguan-${(maps += 1)}`;
  #lit: string | null = null;

  constructor(box: HTMLElement, scene: Scene, theme: Theme, listener: Listener) {
    this.#box = box;
    this.#scene = scene;
    this.#inks = new Inks(theme);
    this.#chart = init(box, null, { renderer: "canvas" });
    const shapes = scene.regions.features.map(({ geometry, properties }) => ({ type: "Feature" as const, geometry, properties: { ...properties, name: properties.code } }));
    registerMap(this.#name, { geoJSON: { type: "FeatureCollection", features: shapes } as never, specialAreas: {} });
    this.#chart.setOption(this.#option());
    this.#chart.on("georoam", () => listener.moved());
    this.#chart.on("mouseover", (event) => listener.hovered(this.#on(event)));
    this.#chart.on("globalout", () => listener.hovered(null));
    this.#chart.on("mouseout", () => listener.hovered(null));
    this.#chart.on("click", (event) => {
      const on = this.#on(event);
      if (on !== null) listener.pressed(on);
    });
  }

  show(scene: Scene): void {
    this.#scene = scene;
    this.#chart.setOption({ geo: { regions: this.#regions() }, series: this.#sensors() });
  }

  paint(theme: Theme): void {
    this.#inks = new Inks(theme);
    this.#chart.setOption({ geo: { regions: this.#regions() }, series: this.#sensors() });
  }

  light(code: string | null): void {
    if (code === this.#lit) return;
    if (this.#lit !== null) this.#chart.dispatchAction({ type: "downplay", geoIndex: 0, name: this.#lit });
    if (code !== null) this.#chart.dispatchAction({ type: "highlight", geoIndex: 0, name: code });
    this.#lit = code;
  }

  project(at: Place): [number, number] {
    const [x = 0, y = 0] = this.#chart.convertToPixel("geo", at) as number[];
    return [x, y];
  }

  zoom(steps: number): void {
    const [width, height] = [this.#box.clientWidth, this.#box.clientHeight];
    this.#chart.dispatchAction({ type: "geoRoam", componentType: "geo", zoom: STEP ** steps, originX: width / 2, originY: height / 2 });
  }

  fit(): void {
    const { center, zoom } = this.#whole();
    this.#chart.setOption({ geo: { center, zoom } });
  }

  resize(): void {
    this.#chart.resize();
    this.#chart.setOption({ geo: this.#layout() });
  }

  destroy(): void {
    this.#chart.dispose();
  }

  #whole(): { center: Place; zoom: number } {
    const [west, south, east, north] = this.#scene.box;
    return { center: [(west + east) / 2, (south + north) / 2], zoom: 1 };
  }

  /** As large as fits into the box less its margins; ECharts asks for the longer side. */
  #layout(): GeoComponentOption {
    const [west, south, east, north] = this.#scene.box;
    const aspectScale = Math.cos((((south + north) / 2) * Math.PI) / 180);
    const [wide, tall] = [(east - west) * aspectScale, north - south];
    const { top, right, bottom, left } = MARGIN;
    const [width, height] = [this.#box.clientWidth - left - right, this.#box.clientHeight - top - bottom];
    const scale = Math.max(0, Math.min(width / wide, height / tall));
    return { aspectScale, layoutCenter: [left + width / 2, top + height / 2], layoutSize: Math.max(1, scale * Math.max(wide, tall)) };
  }

  #option(): Option {
    return {
      animation: false,
      geo: { map: this.#name, roam: "move", ...this.#layout(), ...this.#whole(), label: { show: false }, emphasis: { label: { show: false } }, regions: this.#regions() },
      series: this.#sensors(),
    };
  }

  #regions(): NonNullable<GeoComponentOption["regions"]> {
    return this.#scene.regions.features.map(({ properties }) => this.#region(properties));
  }

  #region({ code, look, schematic, tells }: RegionLook): NonNullable<GeoComponentOption["regions"]>[number] {
    const { palette } = this.#inks;
    if (!tells) return { name: code, silent: true, itemStyle: { areaColor: "transparent", borderColor: palette.edge, borderWidth: 1.6 } };
    const glow = look === "none" ? {} : { shadowBlur: palette.glow, shadowColor: palette.tier[look] };
    return {
      name: code,
      itemStyle: { areaColor: this.#inks.fill(look) as never, borderColor: this.#inks.line(look), borderWidth: look === "none" ? 1 : 1.6, borderType: schematic ? "dashed" : "solid", ...glow },
      emphasis: { label: { show: false }, itemStyle: { areaColor: look === "none" ? palette.lit : (this.#inks.fill(look) as never), borderColor: palette.focus, borderWidth: 2.2 } },
    };
  }

  /** Two series: the many calm ones share one style, which costs a tenth of a style each. */
  #sensors(): ScatterSeriesOption[] {
    const { palette } = this.#inks;
    const calm = this.#scene.sensors.features.filter(({ properties }) => properties.look === "none");
    const warned = this.#scene.sensors.features.filter(({ properties }) => properties.look !== "none").sort((a, b) => a.properties.order - b.properties.order);
    const dot = ({ geometry, properties }: (typeof calm)[number]) => ({ name: properties.id, value: geometry.coordinates as Place });
    return [
      { type: "scatter", coordinateSystem: "geo", symbolSize: 5, itemStyle: { color: palette.sensor, borderColor: palette.halo, borderWidth: 1 }, data: calm.map(dot) },
      {
        type: "scatter",
        coordinateSystem: "geo",
        z: 3,
        data: warned.map((one) => ({ ...dot(one), symbol: this.#inks.symbol(one.properties.look), symbolSize: one.properties.small ? 11 : 18 })),
      },
    ];
  }

  #on(event: { componentType?: string; name?: string }): Hovered | null {
    if (!event.name) return null;
    return event.componentType === "geo" ? { kind: "region", code: event.name } : { kind: "sensor", id: event.name };
  }
}

export const start: Start = (box, scene, theme, listener) => Promise.resolve(new Canvas(box, scene, theme, listener));
