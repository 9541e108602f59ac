// The list of warnings: one row a warning, with its evidence when it is opened.

import { byId, el, KeyedList, Label, mark, show } from "./dom.js";
import { age, clockTime, number, quantity, span } from "./format.js";
import { OriginBadge, TierMark } from "./tiers.js";
import { named, t } from "./words.js";

const FRESH_MS = 6000; // how long a changed row is lit

/** `≤ 8 L/s`: the side on which a value is bad, as rules read it (the limit itself counts). */
export const limitText = (evidence) => `${evidence.direction === "above" ? "≥" : "≤"} ${quantity(evidence.limit, evidence.unit)}`;

/** `5 分 0 秒 均值`, or nothing of an instant. */
export function statisticText(statistic, periodS) {
  return statistic === "instant" ? "" : `${span(periodS * 1000)} ${t(statistic)}`;
}

function dwellText(evidence) {
  if (evidence.readings !== null && evidence.readings > 1) return t("evReadings", { n: evidence.readings });
  return evidence.dwell_s !== null ? t("evDwellTime", { x: span(evidence.dwell_s * 1000) }) : t("evFirst");
}

function clearsText({ clears_at: at, direction, unit: code }) {
  return at === null ? "—" : `${direction === "above" ? "≤" : "≥"} ${quantity(at, code)}`;
}

/** The newest value of the series a warning is about, with its age. */
function presentValue(warning, model, now) {
  const { metric, statistic, period_s: period } = warning.evidence;
  const series = model.series.get(`${warning.sensor}/${metric}/${statistic}/${period}`);
  return series ? `${quantity(series.value.value, warning.evidence.unit)} · ${age(series.at, now)}` : t("noData");
}

/** A row; `update` shows a revision, `tick` the ages. */
class Row {
  #tier = new TierMark();
  #origin = new OriginBadge();
  #rule = new Label("h3");
  #change = new Label("span", "badge change");
  #where = new Label("span", "where");
  #standard = new Label("span", "standard");
  #value = new Label("strong", "value");
  #limit = new Label("span", "limit");
  #began = new Label("span", "began");
  #age = new Label("span", "age");
  #measured = new Label("span", "measured");
  #details = el("details");
  #evidence = null;
  #now = new Label("dd");
  #model = null;
  #warning = null;
  #litUntil = 0;
  #ticked = NaN;

  constructor() {
    const what = el("span", "what", el("span", "line", this.#rule.node, this.#change.node, this.#origin.node), this.#where.node, this.#standard.node);
    const number = el("span", "number", this.#value.node, this.#limit.node, this.#measured.node);
    const time = el("span", "time", this.#began.node, this.#age.node);
    this.#details.append(el("summary", "", this.#tier.node, what, number, time));
    this.#details.addEventListener("toggle", () => this.#toggled());
    this.node = el("li", "", this.#details);
  }

  /** Show a warning; a row lights up when its revision is news. */
  update(warning, model, isNews) {
    this.#model = model;
    this.#warning = warning;
    const { evidence } = warning;
    mark(this.node, "tier", warning.tier);
    mark(this.node, "id", warning.id);
    mark(this.node, "rev", String(warning.rev));
    this.#tier.set(warning.tier);
    this.#origin.set(warning.origin);
    this.#rule.set(named(warning.rule_name));
    this.#where.set(`${t(warning.domain)} · ${named(warning.sensor_name)} · ${named(model.regionName(warning.street))}`);
    this.#standard.set(evidence.standard ?? t("noStandard"));
    this.#change.set(t(warning.change));
    mark(this.#change.node, "change", warning.change);
    this.#value.set(`${named(model.metricName(warning.sensor, evidence.metric))} ${quantity(evidence.value, evidence.unit)}`);
    this.#limit.set(`${t("limit")} ${limitText(evidence)}`);
    if (isNews) this.#litUntil = performance.now() + FRESH_MS;
    if (this.#details.open) this.#fill();
  }

  /** Bring the ages up to date. */
  tick(now) {
    this.#ticked = now;
    const warning = this.#warning;
    const open = warning.state === "open" && !warning.gone;
    this.#measured.set(t("measured", { x: age(warning.evidence.observed, now) }));
    this.#began.set(open ? t("began", { x: clockTime(warning.began, now) }) : this.#end(warning, now));
    this.#age.set(open ? t("lasted", { x: span(now - warning.began) }) : this.#lasted(warning, now));
    mark(this.node, "lit", performance.now() < this.#litUntil ? "yes" : "");
    if (this.#details.open) this.#showPresent(now);
  }

  #showPresent(now) {
    this.#now.set(presentValue(this.#warning, this.#model, now));
  }

  #end(warning, now) {
    return warning.gone ? t("goneAway") : t("clearedAt", { x: clockTime(warning.ended, now) });
  }

  #lasted(warning, now) {
    return warning.gone ? "" : t("lastedFor", { ago: age(warning.ended, now), x: span(warning.ended - warning.began) });
  }

  #toggled() {
    if (!this.#details.open) return;
    this.#fill();
    this.#showPresent(this.#ticked);
  }

  #fill() {
    const list = el("dl", "evidence");
    for (const [term, ...definition] of this.#facts()) list.append(el("div", "", el("dt", "", t(term)), el("dd", "", ...definition)));
    list.append(el("div", "", el("dt", "", t("evNow")), this.#now.node));
    if (this.#evidence) this.#evidence.replaceWith(list);
    else this.#details.append(list);
    this.#evidence = list;
  }

  #facts() {
    const w = this.#warning;
    const { evidence: e } = w;
    const statistic = statisticText(e.statistic, e.period_s);
    return [
      ["evRule", `${w.rule} · ${t("version", { n: w.rule_version })}`],
      ["evChange", `${t(w.change)} · ${clockTime(w.changed)} · ${t("revision", { n: w.rev })}`],
      ["evDwell", statistic ? `${dwellText(e)} · ${statistic}` : dwellText(e)],
      ["evLimit", limitText(e)],
      ["evClears", clearsText(e)],
      ["evPeak", t(w.peak)],
      ["evStandard", e.standard ?? t("noStandard")],
      ["evObserved", clockTime(e.observed)],
      ["evReceived", `${clockTime(e.received)} (+${number(Math.max(0, Math.round(e.received - e.observed)))} ms)`],
      ["evDepartment", w.department],
      ["evObservation", el("code", "", e.observation)],
      ["evWarning", el("code", "", w.id)],
    ];
  }
}

/** The open warnings, gravest first, and below them those cleared lately. */
export class WarningsView {
  #open = new KeyedList(byId("open"), () => new Row());
  #cleared = new KeyedList(byId("cleared"), () => new Row());
  #shown = new Map();

  /** Show what is open and what was cleared; rows whose revision is unchanged are left alone unless `all`. */
  update(model, { all = false, news = true } = {}) {
    const open = model.openInOrder();
    const cleared = model.clearedInOrder();
    this.#sync(this.#open, open, model, all, news);
    this.#sync(this.#cleared, cleared, model, all, false);
    this.#shown = new Map([...open, ...cleared].map((warning) => [warning.id, warning]));
    show(byId("cleared-part"), cleared.length > 0);
    byId("open-count").textContent = String(open.length);
  }

  #sync(list, warnings, model, all, news) {
    const before = new Set(list.items.keys());
    list.sync(warnings.map((warning) => warning.id));
    for (const warning of warnings) {
      const isNew = !before.has(warning.id);
      const changed = isNew || this.#shown.get(warning.id) !== warning;
      if (changed || all) list.items.get(warning.id).update(warning, model, changed && news);
    }
  }

  /** Bring all ages up to date. */
  tick(now) {
    for (const row of this.#open.items.values()) row.tick(now);
    for (const row of this.#cleared.items.values()) row.tick(now);
  }

  /** Say why the list is empty, or that it may not be whole. */
  note(model, unsure) {
    show(byId("warnings-note"), unsure);
    byId("warnings-note").textContent = unsure ? t("mayMiss") : "";
    show(byId("open-none"), model.open.size === 0);
    const none = t(unsure ? "noOpenUnsure" : "noOpen");
    if (byId("open-none").textContent !== none) byId("open-none").textContent = none;
  }
}
