// Makes `src/schema/index.ts` from the JSON Schemas of `schemas/json`; with `--check` it only says whether that file is as it should be.

import { readFileSync, writeFileSync } from "node:fs";
import { compile } from "json-schema-to-typescript";

const FROM = new URL("../schemas/json/", import.meta.url);
const TO = new URL("src/schema/index.ts", import.meta.url);
const HEADER = "// Made by `npm run types` from schemas/json; do not edit.\n\n";

/** What pages are told: of these every field is there, for the server writes defaults out. */
const TOLD = ["live.Snapshot", "live.Delta", "live.Heartbeat", "rest.SignIn", "rest.Session", "rest.RegionMap", "rest.WarningStory", "rest.User", "rest.Answered", "rest.Brief", "rest.Contacts", "rest.DutyTeam", "rest.FieldAnswer", "rest.FieldView", "rest.HandOverShown", "rest.Link", "rest.SilenceShown", "rest.Stored", "notification.Notification", "audit.AuditEntry", "rest.EventsSummary", "rest.RefusalBody", "rest.DoorShown", "rest.EventFate", "rest.KeyMade", "rest.KeyShown", "rest.SensorPage", "rest.UnknownShown", "rest.Draft", "registration.Registration", "outcome.Decided"];

/** What pages say: fields with defaults may be left out. */
const SAID = ["live.Hello", "rest.Acknowledging", "rest.Credentials", "rest.OwnPassword", "rest.Mute", "rest.NewUser", "rest.UserChange", "rest.Answering", "rest.Assigning", "rest.ClearingByHand", "rest.Commenting", "rest.HandingOver", "rest.LinkUse", "rest.Overriding", "rest.Silencing", "rest.SendingAgain", "rest.Discarding", "rest.KeyMaking", "rest.KeyReplacing", "rest.Importing"];

/** Two models have this name; the frame of the live protocol is called otherwise here. */
const RENAMED = { "live.Heartbeat": "LiveHeartbeat" };

/** The same of models inside others: a rule's level (`schemas.measure`) has fewer than a region's, and the audit's outcomes are its own. */
const RENAMED_INSIDE = { "rest.WarningStory": { Level: "DerivedLevel" }, "audit.AuditEntry": { Outcome: "AuditOutcome" } };

/** What the generator says of the bundle that it was given, which is ours alone. */
const BUNDLE = /export interface Bundle \{\s*\}\n/;
const REFERENCES = [/ +\*\s*\n +\* This interface was referenced by .*\n +\* via the .*\n/g, /^ *\/\*\*\n *\* This interface was referenced by .*\n *\* via the .*\n *\*\/\n/gm];

function read(name) {
  const text = readFileSync(new URL(`${name}.json`, FROM), "utf-8");
  const renamed = Object.entries(RENAMED_INSIDE[name] ?? {});
  const schema = JSON.parse(renamed.reduce((kept, [from, to]) => kept.replaceAll(`"#/$defs/${from}"`, `"#/$defs/${to}"`), text));
  for (const [from, to] of renamed) {
    schema.$defs[to] = schema.$defs[from];
    delete schema.$defs[from];
  }
  return schema;
}

/** Add a definition from inside a model; two that differ must not share a name, or one of them would stand for both. */
function add(models, name, definition) {
  if (name in models && JSON.stringify(models[name]) !== JSON.stringify(definition)) throw new Error(`two models are called ${name}: name one in RENAMED_INSIDE`);
  models[name] = definition;
}

/** Titles of fields would become types of their own; only those of whole models are wanted. */
function withoutFieldTitles(schema) {
  if (Array.isArray(schema)) return schema.map(withoutFieldTitles);
  if (schema === null || typeof schema !== "object") return schema;
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([key, value]) => key !== "title" || typeof value !== "string")
      .map(([key, value]) => [key, withoutFieldTitles(value)]),
  );
}

function model(schema, told) {
  const { $defs: _, $id: __, $schema: ___, ...own } = withoutFieldTitles(schema);
  return told && own.properties ? { ...own, required: Object.keys(own.properties) } : own;
}

function collect() {
  const models = {};
  for (const [names, told] of [[SAID, false], [TOLD, true]]) {
    for (const name of names) {
      const schema = read(name);
      for (const [inner, definition] of Object.entries(schema.$defs ?? {})) add(models, inner, model(definition, true));
      models[RENAMED[name] ?? name.split(".")[1]] = model(schema, told);
    }
  }
  return models;
}

async function make() {
  const bundle = { $defs: collect(), type: "object", additionalProperties: false };
  const text = await compile(bundle, "Bundle", { bannerComment: "", unreachableDefinitions: true, maxItems: -1, style: { printWidth: 150 } });
  return HEADER + REFERENCES.reduce((kept, reference) => kept.replaceAll(reference, ""), text.replace(BUNDLE, ""));
}

const made = await make();
if (!process.argv.includes("--check")) writeFileSync(TO, made);
else if (readFileSync(TO, "utf-8") !== made) {
  console.error("src/schema/index.ts differs from schemas/json: run `npm run types`");
  process.exit(1);
}
