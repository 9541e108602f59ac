// The words of the interface: Chinese first, English second; `{x}` stands for a parameter.

const WORDS = {
  brand: ["统管", "Tongguan"],
  skip: ["跳到预警列表", "Skip to the warnings"],
  where: ["区域", "Region"],
  banners: ["平台状态提示", "State of the platform"],
  below: ["下级区域 {n}", "{n} regions below"],
  belowCount: ["{n} 条预警", "{n} warnings"],
  noRegion: ["区域实时画面", "A region, live"],
  overview: ["总览", "Overview"],
  leave: ["更换令牌", "Change token"],
  toDark: ["深色", "Dark"],
  toLight: ["浅色", "Light"],
  themeLabel: ["切换到{x}主题", "Switch to the {x} theme"],

  ask: ["打开一个区域", "Open a region"],
  askHow: ["请输入区域代码和它的令牌：两者都列在 ./tongguan up 启动后的提示里。", "Enter the code of a region and its token: both stand in the banner of ./tongguan up."],
  region: ["区域代码", "Region code"],
  token: ["令牌", "Token"],
  enter: ["打开", "Open"],
  opening: ["正在打开 {x}…", "Opening {x}…"],
  why4400: ["网关不接受本页的协议版本，页面可能已过期：请刷新页面。（4400）", "The gateway refuses this page's version of the protocol; the page may be outdated: reload it. (4400)"],
  why4401: ["令牌无效：网关不认识它，或它已被更换。（4401）", "The token is not valid: the gateway does not know it, or it was replaced. (4401)"],
  why4403: ["该令牌无权查看区域 {x}。（4403）", "This token may not see region {x}. (4403)"],
  stay: ["仍停留在 {x}。", "You are still in {x}."],
  dismiss: ["知道了", "Dismiss"],
  cancel: ["取消", "Cancel"],

  red: ["红", "Red"],
  orange: ["橙", "Orange"],
  yellow: ["黄", "Yellow"],
  blue: ["蓝", "Blue"],
  tierLevel: ["{x}级", "level {x}"],

  live: ["实时", "Live"],
  asOf: ["画面更新于 {x}", "screen updated {x}"],
  pulseLost: ["已失联", "Lost"],
  pulseOpening: ["连接中", "Connecting"],
  countAge: ["截至 {x}", "as of {x}"],
  sensors: ["传感器", "Sensors"],
  silentSensors: ["静默", "Silent"],
  pipeline: ["数据链路", "Data path"],
  pipelineNone: ["无节拍", "no tick"],
  unknown: ["无法判断", "unknown"],
  services: ["服务", "Services"],

  ingest: ["接入", "Ingest"],
  rules: ["规则", "Rules"],
  history: ["历史", "History"],
  alerts: ["告警", "Alerts"],
  gateway: ["网关", "Gateway"],
  serviceOk: ["正常", "ok"],
  serviceUnready: ["未就绪", "not ready"],
  serviceLate: ["无心跳", "silent"],
  serviceUnheard: ["从未听到", "never heard"],
  serviceBehind: ["落后", "behind"],
  serviceLag: ["积压 {n}", "lag {n}"],

  bannerLost: [
    "与网关失联：自 {since} 起没有收到任何数据（已 {span}）。画面停在 {stopped}，以下内容不是现状。",
    "The gateway is lost: nothing was received since {since} ({span}). The screen stands still at {stopped}; what follows is not the present.",
  ],
  bannerUnreached: ["连不上网关（已 {span}）：还没有任何数据可以显示。", "The gateway cannot be reached ({span}): there is nothing to show yet."],
  bannerBehind: ["收到的数据落后 {span}：连接拥塞，画面不是现状。", "What arrives is {span} old: the connection is congested, the screen is not the present."],
  bannerRetry: ["{span}后第 {n} 次重连", "attempt {n} in {span}"],
  bannerTrying: ["正在进行第 {n} 次重连…", "attempt {n} is under way…"],
  retryNow: ["立即重连", "Reconnect now"],
  bannerStalled: [
    "数据链路停滞：最新节拍在 {since}（已 {span}）。读数和预警可能不是现状。",
    "The data path stands still: its newest tick is of {since} ({span}). Values and warnings may not be the present.",
  ],
  bannerNoTick: ["数据链路没有节拍：网关启动后还没有收到过。读数和预警可能不是现状。", "The data path has no tick: the gateway has not seen one since it started. Values and warnings may not be the present."],
  bannerUnready: ["{name}服务未就绪（{reason}）：{effect}", "{name} is not ready ({reason}): {effect}"],
  bannerLate: ["{name}服务没有心跳，自 {since} 起（已 {span}）：{effect}", "{name} is silent since {since} ({span}): {effect}"],
  bannerUnheard: ["从未听到{name}服务的心跳：{effect}", "{name} was never heard: {effect}"],
  bannerServiceBehind: ["{name}服务的处理落后 {span}：{effect}", "{name} is {span} behind: {effect}"],
  noReason: ["原因未知", "reason unknown"],
  effectIngest: ["新的读数可能没有接入。", "new readings may not be taken in."],
  effectRules: ["预警可能不全。", "warnings may be missing."],
  effectHistory: ["历史可能没有写入。", "history may not be written."],
  effectAlerts: ["通知可能没有发出。", "notifications may not be sent."],
  effectGateway: ["本页可能不完整。", "this page may be incomplete."],
  effectOther: ["它的工作可能没有进行。", "its work may not be done."],
  bannerOpening: ["正在打开区域 {x}…", "Opening region {x}…"],

  openWarnings: ["未解除预警", "Open warnings"],
  clearedWarnings: ["刚刚解除", "Cleared lately"],
  noOpen: ["当前没有未解除的预警。", "There is no open warning at present."],
  noOpenUnsure: ["没有预警可显示，但平台此刻并不完整：不能据此认为一切正常。", "No warning to show, but the platform is not whole at present: this is no sign that all is well."],
  mayMiss: ["预警可能不全", "warnings may be missing"],
  began: ["始于 {x}", "since {x}"],
  lasted: ["已持续 {x}", "for {x}"],
  limit: ["限值", "limit"],
  measured: ["{x}测得", "measured {x}"],
  clearedAt: ["解除于 {x}", "cleared {x}"],
  lastedFor: ["{ago} · 共 {x}", "{ago} · lasted {x}"],
  goneAway: ["断线期间已结束，解除时间不详", "ended while disconnected, time unknown"],
  noStandard: ["未注明标准", "no standard named"],

  evRule: ["规则", "Rule"],
  evChange: ["本次变化", "This change"],
  evPeak: ["最高等级", "Peak"],
  evDwell: ["判定方式", "Decided by"],
  evReadings: ["连续 {n} 个读数", "{n} readings in a row"],
  evDwellTime: ["持续 {x}", "lasting {x}"],
  evFirst: ["首个读数即判定", "the first reading"],
  evLimit: ["限值", "Limit"],
  evClears: ["解除线", "Left past"],
  evStandard: ["依据标准", "Standard"],
  evNow: ["现在的读数", "Value now"],
  evObserved: ["测得时间", "Observed"],
  evReceived: ["接入时间", "Received"],
  evObservation: ["观测编号", "Observation"],
  evWarning: ["预警编号", "Warning"],
  evDepartment: ["部门", "Department"],
  version: ["第 {n} 版", "version {n}"],
  revision: ["第 {n} 次修订", "revision {n}"],

  opened: ["新发", "Opened"],
  raised: ["升级", "Raised"],
  lowered: ["降级", "Lowered"],
  recovered: ["恢复", "Recovered"],
  rule_changed: ["规则变更", "Rule changed"],
  sensor_moved: ["点位迁移", "Sensor moved"],

  replayed: ["回放", "Replayed"],
  simulated: ["模拟", "Simulated"],
  exercise: ["演练", "Exercise"],

  liveValues: ["实时读数", "Live values"],
  find: ["查找传感器", "Find a sensor"],
  show: ["显示", "Show"],
  showAll: ["全部", "All"],
  showWarned: ["有预警的", "With warnings"],
  showUnsound: ["静默或异常", "Silent or unsound"],
  noSensors: ["没有符合条件的传感器。", "No sensor fits."],
  silent: ["静默 {x}", "silent for {x}"],
  standing: ["未更新 {x}", "not updated for {x}"],
  noData: ["无数据", "no data"],
  never: ["从未收到", "never received"],

  water: ["供水", "Water"],
  sewage: ["污水", "Sewage"],
  dust: ["扬尘", "Dust"],
  fire: ["消防", "Fire"],

  stopped: ["停运", "stopped"],
  maintenance: ["维护", "maintenance"],
  manual: ["手工", "manual"],
  fault: ["故障", "fault"],
  calibration: ["校准", "calibration"],
  over_range: ["超量程", "over range"],
  no_signal: ["无信号", "no signal"],

  mean: ["均值", "mean"],
  min: ["最小", "min"],
  max: ["最大", "max"],
  sum: ["累计", "sum"],

  changes: ["近期变化", "Recent changes"],
  noChanges: ["还没有变化。", "No change yet."],

  ago: ["{x}前", "{x} ago"],
  ahead: ["超前 {x}", "{x} ahead"],
  seconds: ["{s} 秒", "{s} s"],
  minutes: ["{m} 分 {s} 秒", "{m} min {s} s"],
  hours: ["{h} 小时 {m} 分", "{h} h {m} min"],
  days: ["{d} 天 {h} 小时", "{d} d {h} h"],

  sayLoaded: ["{x}：{n} 条未解除预警。", "{x}: {n} open warnings."],
  sayWarning: ["{tier}色预警{change}：{rule}，{sensor}", "{tier} warning {change}: {rule}, {sensor}"],
  sayMany: ["{n} 条预警有变化，最重为{tier}色。", "{n} warnings changed, the gravest is {tier}."],
};

let column = document.documentElement.lang === "en" ? 1 : 0;

/** The language shown, `zh` or `en`. */
export const language = () => (column === 0 ? "zh" : "en");

/** Take a language, `zh` or `en`, from here on. */
export function speak(code) {
  column = code === "en" ? 1 : 0;
  document.documentElement.lang = column === 0 ? "zh-CN" : "en";
}

/** The words for a key, with its parameters; an unknown key (a newer server's word) is returned as it is. */
export function t(key, parameters) {
  const words = Object.hasOwn(WORDS, key) ? WORDS[key][column] : String(key);
  return parameters ? words.replace(/\{(\w+)\}/g, (hole, name) => (Object.hasOwn(parameters, name) ? parameters[name] : hole)) : words;
}

/** The name in the language shown, of a `{zh, en}`. */
export const named = (name) => (column === 0 ? name.zh : name.en);

/** Set the texts of all elements that name one by `data-t`, `data-t-label` or `data-t-place`. */
export function translate() {
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of document.querySelectorAll("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
  for (const node of document.querySelectorAll("[data-t-place]")) node.placeholder = t(node.dataset.tPlace);
}
