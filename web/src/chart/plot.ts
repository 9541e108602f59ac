// ECharts' part of the chart of a warning: loaded only when a warning is looked at. Its tooltip is drawn, not HTML with styles in it.

import { LineChart, type LineSeriesOption, ScatterChart, type ScatterSeriesOption } from "echarts/charts";
import { GridComponent, type GridComponentOption, MarkLineComponent, type MarkLineComponentOption, TooltipComponent, type TooltipComponentOption } from "echarts/components";
import { type ComposeOption, type ECharts, init, use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { clockTime, fullTime, number, quantity, unit } from "../core/format";
import { SHAPE } from "../core/tiers";
import { t } from "../core/words";
import { type Palette, PALETTES } from "../map/palette";
import type { Theme } from "../map/types";
import { type Drawn, type Limit, type Mark, rowsOf } from "./series";

use([LineChart, ScatterChart, GridComponent, MarkLineComponent, TooltipComponent, CanvasRenderer]);

type Option = ComposeOption<LineSeriesOption | ScatterSeriesOption | GridComponentOption | TooltipComponentOption>;
type Lines = NonNullable<MarkLineComponentOption["data"]>;

const PLAIN_PX = 14; // the letters for which sizes here are meant; a wall's are larger, and all sizes with them
const WORD_PX = 74; // a mark's word is about so wide
const DAY_MS = 86_400_000;
const ROWS = 3;
const ROW_PX = 14;
const SIDES = { left: 58, right: 14, top: 22, bottom: 30 };
const LETTERS = 12;

/** What a mark says: `升级 橙`. */
const wordOf = ({ change, tier, cleared }: Mark): string => (cleared ? t(change) : `${t(change)} ${t(tier)}`);

const limitWord = ({ tier, direction, value }: Limit, code: string): string => `${t(tier)} ${direction === "above" ? "≥" : "≤"} ${quantity(value, code)}`;

function limitLines(limits: readonly Limit[], code: string, palette: Palette, scale: number): Lines {
  return limits.map((limit) => ({
    yAxis: limit.value,
    lineStyle: { color: palette.tier[limit.tier], width: 1.4, type: "solid", opacity: 0.9 },
    label: { formatter: limitWord(limit, code), position: "insideStartTop", color: palette.tier[limit.tier], fontWeight: "bold", fontSize: LETTERS * scale, textBorderColor: palette.halo, textBorderWidth: 3 },
  }));
}

function markLines(marks: readonly Mark[], rows: readonly (number | null)[], palette: Palette, scale: number): Lines {
  return marks.map((mark, index) => ({
    xAxis: mark.at,
    lineStyle: { color: mark.cleared ? palette.quiet : palette.tier[mark.tier], width: 1, type: "dashed" },
    label: { show: rows[index] !== null, formatter: wordOf(mark), position: "end", distance: scale * (4 + ROW_PX * (rows[index] ?? 0)), color: palette.text, fontSize: 11 * scale },
  }));
}

function decided(marks: readonly Mark[], palette: Palette): ScatterSeriesOption {
  return {
    type: "scatter",
    z: 5,
    data: marks.filter(({ value }) => value !== null).map(({ observed, value, tier, cleared }) => ({
      value: [observed, value!],
      symbol: `path://${SHAPE[tier]}`,
      symbolSize: 13,
      itemStyle: { color: cleared ? palette.halo : palette.tier[tier], borderColor: cleared ? palette.quiet : palette.halo, borderWidth: 1.5 },
    })),
    tooltip: { show: false },
    silent: true,
  };
}

/** The whole option for a chart of a width in pixels; `scale` is how much larger than plain its letters are. */
export function option(drawn: Drawn, code: string, theme: Theme, width: number, scale: number): Option {
  const palette = PALETTES[theme];
  const times = [...drawn.line, ...drawn.doubtful].map(([at]) => at).concat(drawn.marks.map(({ at }) => at));
  const [from, to] = [Math.min(...times), Math.max(...times)];
  const across = Math.max(1, width - (SIDES.left + SIDES.right) * scale);
  const rows = rowsOf(drawn.marks.map(({ at }) => at), ((to - from) * WORD_PX * scale) / across, ROWS);
  const top = SIDES.top + ROW_PX * Math.max(0, ...rows.map((row) => row ?? 0));
  const grid = { left: SIDES.left * scale, right: SIDES.right * scale, top: top * scale, bottom: SIDES.bottom * scale };
  const axis = { axisLine: { lineStyle: { color: palette.border } }, axisLabel: { color: palette.quiet, fontSize: LETTERS * scale, hideOverlap: true }, splitLine: { lineStyle: { color: palette.grid } } };
  return {
    animation: false,
    grid,
    textStyle: { fontFamily: "inherit" },
    tooltip: {
      trigger: "axis",
      renderMode: "richText",
      confine: true,
      backgroundColor: palette.halo,
      borderColor: palette.border,
      textStyle: { color: palette.text, fontSize: LETTERS * scale },
      formatter: (on) => tip(on, code),
    },
    xAxis: { type: "time", min: from, max: to, splitNumber: Math.max(2, Math.round(width / scale / 130)), ...axis, splitLine: { show: false }, axisLabel: { ...axis.axisLabel, formatter: (at: number) => axisTime(at, to - from) } },
    yAxis: { type: "value", min: drawn.low, max: drawn.high, name: unit(code), nameTextStyle: { color: palette.quiet, fontSize: LETTERS * scale, align: "right" }, ...axis, axisLabel: { ...axis.axisLabel, formatter: number, showMinLabel: false, showMaxLabel: false } },
    series: [
      {
        type: "line",
        data: drawn.line,
        connectNulls: false,
        showSymbol: drawn.line.length < width / 12,
        symbol: "circle",
        symbolSize: 5,
        color: palette.sensor,
        lineStyle: { width: 1.8 },
        markLine: { symbol: "none", silent: true, animation: false, data: [...limitLines(drawn.limits, code, palette, scale), ...markLines(drawn.marks, rows, palette, scale)] },
      },
      { type: "scatter", data: drawn.doubtful, symbol: "circle", symbolSize: 7, itemStyle: { color: "transparent", borderColor: palette.quiet, borderWidth: 1.6 } },
      decided(drawn.marks, palette),
    ],
  };
}

const axisTime = (at: number, across: number): string => (across > DAY_MS ? clockTime(at, at + 400 * DAY_MS).slice(0, 11) : across > 5 * 60_000 ? clockTime(at).slice(0, 5) : clockTime(at));

function tip(on: unknown, code: string): string {
  const value = ([on].flat()[0] as { value?: [number, number | null] } | undefined)?.value;
  return value === undefined || value[1] === null ? "" : `${fullTime(value[0])}\n${quantity(value[1], code)}`;
}

/** A chart in a box. */
export class Plot {
  readonly #chart: ECharts;

  constructor(box: HTMLElement) {
    this.#chart = init(box, null, { renderer: "canvas" });
  }

  show(drawn: Drawn, code: string, theme: Theme): void {
    this.#chart.resize();
    const scale = parseFloat(getComputedStyle(document.documentElement).fontSize) / PLAIN_PX;
    this.#chart.setOption(option(drawn, code, theme, this.#chart.getWidth(), scale), { notMerge: true });
  }

  destroy(): void {
    this.#chart.dispose();
  }
}

