// The live values: one card a sensor, one line a series, each with its age; silence is said in words.

import { byId, el, KeyedList, Label, mark, show, svg } from "./dom.js";
import { age, number, span, unit } from "./format.js";
import { graver } from "./model.js";
import { OriginBadge, TierMark } from "./tiers.js";
import { named, t } from "./words.js";
import { statisticText } from "./warnings.js";

const DOMAINS = ["water", "sewage", "dust", "fire"];
const SPARK = { width: 64, height: 18 };

/** The points of a polyline through the last values, scaled to the sparkline's box; empty of fewer than two. */
function sparkPoints(trail) {
  if (trail.length < 2) return "";
  const low = Math.min(...trail);
  const range = Math.max(...trail) - low || 1;
  const step = SPARK.width / (trail.length - 1);
  const y = (value) => SPARK.height - 2 - ((value - low) / range) * (SPARK.height - 4);
  return trail.map((value, at) => `${(at * step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
}

/** A line of a card: one series, or a metric of which nothing was ever received. */
class Line {
  #name = new Label("span", "name");
  #origin = new OriginBadge();
  #quality = new Label("span", "badge quality");
  #points = svg("polyline", { points: "" });
  #value = new Label("strong", "value");
  #unit = new Label("span", "unit");
  #age = new Label("span", "age");
  #series = null;

  constructor() {
    const box = `0 0 ${SPARK.width} ${SPARK.height}`;
    const spark = svg("svg", { class: "spark", viewBox: box, "aria-hidden": "true", focusable: "false", preserveAspectRatio: "none" }, this.#points);
    const label = el("span", "label", this.#name.node, this.#quality.node, this.#origin.node);
    this.node = el("li", "", label, spark, el("span", "number", this.#value.node, this.#unit.node), this.#age.node);
  }

  /** Show a series' newest value; `badge`: with its own badge of origin. */
  showSeries(series, sensor, model, { badge }) {
    const { metric, statistic, period_s: period, value, quality, origin } = series.value;
    this.#series = series;
    const kind = statisticText(statistic, period);
    const name = named(model.metricName(sensor.id, metric));
    this.#name.set(kind ? `${name} (${kind})` : name);
    this.#value.set(number(value));
    this.#unit.set(unit(sensor.metrics[metric]?.unit ?? ""));
    this.#origin.set(badge ? origin : "real");
    show(this.#quality.node, quality !== "good");
    this.#quality.set(quality === "good" ? "" : t(quality));
    mark(this.node, "quality", quality);
  }

  /** Show that a metric has no value. */
  showNothing(sensor, metric) {
    this.#series = null;
    this.#name.set(named(sensor.metrics[metric].name));
    this.#value.set(t("noData"));
    this.#age.set(t("never"));
    show(this.#quality.node, false);
    mark(this.node, "state", "none");
  }

  /** Bring the age up to date; `ours`: the silence is the platform's, not the sensor's. */
  tick(now, ours) {
    const series = this.#series;
    if (series === null) return;
    const silent = series.silent(now);
    mark(this.node, "state", silent ? "silent" : "");
    if (silent) this.#age.set(t(ours ? "standing" : "silent", { x: span(now - series.at) }));
    else this.#age.set(age(series.at, now));
  }

  /** Draw the trail. */
  draw() {
    if (this.#series !== null) this.#points.setAttribute("points", sparkPoints(this.#series.trail));
  }
}

/** The card of a sensor. */
class Card {
  seen = false;
  #name = new Label("h3");
  #where = new Label("span", "where");
  #tier = new TierMark();
  #origin = new OriginBadge();
  #list = el("ul");
  #lines = new KeyedList(this.#list, () => new Line());
  #text = "";

  constructor(id, observer) {
    this.id = id;
    this.node = el("li", "", el("div", "head", this.#name.node, this.#tier.node, this.#origin.node, this.#where.node), this.#list);
    this.node.dataset.sensor = id;
    observer.observe(this.node);
  }

  /** Show the sensor, its values, and the gravest of its open warnings. */
  update(model, warning) {
    const sensor = model.sensors.get(this.id);
    const street = named(model.regionName(sensor.street));
    this.#name.set(named(sensor.name));
    this.#where.set(`${t(sensor.domain)} · ${street}`);
    this.#text = [sensor.id, named(sensor.name), street, ...Object.values(sensor.metrics).map((metric) => named(metric.name))].join(" ").toLowerCase();
    show(this.#tier.node, warning !== undefined);
    if (warning) this.#tier.set(warning.tier);
    mark(this.node, "tier", warning?.tier ?? "");
    this.#updateLines(sensor, model);
    if (this.seen) this.draw();
  }

  #updateLines(sensor, model) {
    const series = [...(model.seriesOf.get(sensor.id) ?? [])].sort((a, b) => (a.key < b.key ? -1 : 1));
    const missing = model.metricsWithoutData(sensor.id);
    this.#lines.sync([...series.map((one) => one.key), ...missing]);
    const origins = new Set(series.map((one) => one.value.origin));
    this.#origin.set(origins.size === 1 ? series[0].value.origin : "real"); // one badge speaks for all lines, or each for itself
    for (const one of series) this.#lines.items.get(one.key).showSeries(one, sensor, model, { badge: origins.size > 1 });
    for (const metric of missing) this.#lines.items.get(metric).showNothing(sensor, metric);
  }

  /** Bring the ages up to date. */
  tick(now, ours) {
    for (const line of this.#lines.items.values()) line.tick(now, ours);
  }

  /** Draw the trails. */
  draw() {
    for (const line of this.#lines.items.values()) line.draw();
  }

  /** Show it only where it is looked for. */
  filter(wanted, { text, only, now }, model) {
    const found = text === "" || this.#text.includes(text);
    const fits = only === "all" || (only === "warned" ? wanted : model.sensorSilent(this.id, now) || this.#unsound(model));
    show(this.node, found && fits);
    return found && fits;
  }

  #unsound(model) {
    return [...(model.seriesOf.get(this.id) ?? [])].some((series) => series.value.quality !== "good");
  }
}

function inOrder(model) {
  const place = (sensor) => [DOMAINS.indexOf(sensor.domain), sensor.street, named(sensor.name), sensor.id];
  const collator = new Intl.Collator(document.documentElement.lang, { numeric: true });
  const keyed = [...model.sensors.values()].map((sensor) => [place(sensor), sensor.id]);
  keyed.sort(([a], [b]) => a[0] - b[0] || collator.compare(a[1], b[1]) || collator.compare(a[2], b[2]) || (a[3] < b[3] ? -1 : 1));
  return keyed.map(([, id]) => id);
}

function gravestBySensor(model) {
  const gravest = new Map();
  for (const warning of [...model.open.values()].sort(graver)) if (!gravest.has(warning.sensor)) gravest.set(warning.sensor, warning);
  return gravest;
}

/** The cards of all sensors, and the filter over them. Trails are drawn only for cards near the screen. */
export class ValuesView {
  #observer = new IntersectionObserver((entries) => this.#looked(entries), { rootMargin: "150px" });
  #cards = new KeyedList(byId("sensors"), (id) => new Card(id, this.#observer));

  #looked(entries) {
    for (const { target, isIntersecting } of entries) {
      const card = this.#cards.items.get(target.dataset.sensor);
      if (!card) continue;
      card.seen = isIntersecting;
      if (isIntersecting) card.draw();
    }
  }

  /** Show the sensors named in `touched`, all of them with `all`; `reorder` when sensors came or went. */
  update(model, touched, { all = false, reorder = false } = {}) {
    if (reorder || all) this.#cards.sync(inOrder(model));
    const gravest = gravestBySensor(model);
    const ids = all ? model.sensors.keys() : touched;
    for (const id of ids) this.#cards.items.get(id)?.update(model, gravest.get(id));
  }

  /** Bring the ages up to date, of the sensors named in `only` or (null) of all; `ours`: what is silent may be so because of us. */
  tick(now, ours, only = null) {
    for (const id of only ?? this.#cards.items.keys()) this.#cards.items.get(id)?.tick(now, ours);
  }

  /** Apply the filter, and say how many sensors are shown. */
  filter(model, now) {
    const wish = { text: byId("find").value.trim().toLowerCase(), only: byId("show").value, now };
    const warned = new Set([...model.open.values()].map((warning) => warning.sensor));
    let shown = 0;
    for (const [id, card] of this.#cards.items) if (card.filter(warned.has(id), wish, model)) shown += 1;
    const all = model.sensors.size;
    byId("values-count").textContent = shown === all ? String(all) : `${shown} / ${all}`;
    show(byId("sensors-none"), shown === 0);
    byId("sensors-none").textContent = t("noSensors");
  }

  /** Forget all cards (another region). */
  clear() {
    this.#observer.disconnect();
    this.#cards.clear();
  }
}
