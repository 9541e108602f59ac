// The map's and the chart's own words; what other pages say too stands in `core/words`.

import type { Language } from "./types";

const WORDS = {
  map: ["{x}地图", "Map of {x}"],
  mapHint: ["地图。各区域也在“下级区域”列表中；方向键在区域间移动，回车打开。", "Map. Its regions are in the list of regions too; arrow keys move between them, Enter opens one."],
  loading: ["正在加载地图…", "Loading the map…"],
  failed: ["地图没有加载成功。", "The map could not be loaded."],
  again: ["重试", "Try again"],
  schematic: ["示意", "Schematic"],
  schematicAll: ["示意图：形状与位置均不代表实际边界", "Schematic: shapes and places are not the real ones"],
  schematicSome: ["虚线六边形为示意，不代表实际边界", "Dashed hexagons are schematic, not real boundaries"],
  arranged: ["{n} 个传感器画在所属区域的示意形状内，不在真实位置", "{n} sensors are drawn inside their region's schematic shape, at no true place"],
  crowded: ["{n} 个传感器未画出，进入所在街镇可见", "{n} sensors are not drawn: open their street to see them"],
  unplaced: ["{n} 个传感器没有坐标，未画出", "{n} sensors have no coordinates and are not drawn"],
  closer: ["放大", "Zoom in"],
  farther: ["缩小", "Zoom out"],
  whole: ["显示全图", "Show all"],
  sensors: ["{n} 个传感器", "{n} sensors"],
  silent: ["{n} 个静默", "{n} silent"],
  calm: ["无未解除预警", "no open warnings"],
  open: ["点击打开", "Click to open"],
  openWarning: ["点击查看预警", "Click to see the warning"],
  red: ["红", "Red"],
  orange: ["橙", "Orange"],
  yellow: ["黄", "Yellow"],
  blue: ["蓝", "Blue"],
  water: ["供水", "Water"],
  sewage: ["排水", "Sewage"],
  dust: ["扬尘", "Dust"],
  fire: ["消防", "Fire"],
} as const satisfies Record<string, readonly [zh: string, en: string]>;

export type Word = keyof typeof WORDS;

/** The words for a key in a language; `{n}` and `{x}` stand for what is given. */
export function say(language: Language, key: Word, given: { n?: number; x?: string } = {}): string {
  const words: string = WORDS[key][language === "zh" ? 0 : 1];
  return words.replace("{n}", String(given.n ?? "")).replace("{x}", given.x ?? "");
}
