// The chart's own words.

const WORDS = {
  title: ["{x}：预警前后的 {n} 个数值", "{x}: {n} values around the warning"],
  none: ["没有这段时间的数值。", "There are no values of this time."],
  ofPlace: ["这条预警属于一处地方的多个测点，没有单一的曲线。", "This warning is of several sensors of a place: no single curve tells of it."],
  derived: ["判定量由读数算出（{x}），未画在图上", "what decided is worked out from the values ({x}) and is not drawn"],
  origins: ["来源：{x}", "origin: {x}"],
  doubtful: ["空心点质量不良，不参与判定（{n} 个）", "hollow dots are of bad quality and decide nothing ({n})"],
  gaps: ["断开处没有收到数据（{n} 处）", "where the line breaks nothing was received ({n})"],
  thinned: ["点数过多，已等间隔抽稀", "too many values: evenly thinned out"],
  zone: ["时间为 {x}", "times are {x}"],
  table: ["最近 {n} 个数值", "the newest {n} values"],
  time: ["时间", "Time"],
  value: ["数值", "Value"],
  quality: ["质量", "Quality"],
  origin: ["来源", "Origin"],
} as const satisfies Record<string, readonly [zh: string, en: string]>;

/** The words for a key in a language; `{n}` and `{x}` stand for what is given. */
export function say(language: "zh" | "en", key: keyof typeof WORDS, given: { n?: number; x?: string } = {}): string {
  const words: string = WORDS[key][language === "zh" ? 0 : 1];
  return words.replace("{n}", String(given.n ?? "")).replace("{x}", given.x ?? "");
}
