// What a map shows, as GeoJSON that either engine draws. It is made anew only when a tier changed: values never touch the map.

import type { FeatureCollection, MultiPolygon, Point } from "geojson";
import { GRAVITY } from "../core/tiers";
import { type Box, bounds, type Outline, type PlacedSensor, telling } from "./outlines";
import type { MapChild, MapSensor, Tier } from "./types";

/** A tier, or that there is no warning: style expressions know no null. */
export type Look = Tier | "none";

export interface RegionLook {
  code: string;
  look: Look;
  schematic: boolean;
  /** Whether it tells of warnings, or is only the line around those that do. */
  tells: boolean;
}

export interface SensorLook {
  id: string;
  look: Look;
  /** Those graver are drawn over others. */
  order: number;
  small: boolean;
}

export interface Scene {
  regions: FeatureCollection<MultiPolygon, RegionLook>;
  sensors: FeatureCollection<Point, SensorLook>;
  box: Box;
}

/** The gravest tier of each shape. */
export function looks(shapes: readonly Outline[], children: readonly MapChild[]): Map<string, Look> {
  const tiers = new Map(children.map((child) => [child.code, child.tier]));
  return new Map(shapes.map(({ code }) => [code, tiers.get(code) ?? "none"]));
}

/** What distinguishes two scenes of one map: the tiers. */
export function fingerprint(children: readonly MapChild[], sensors: readonly MapSensor[]): string {
  const regions = children.map(({ code, tier }) => `${code} ${tier}`);
  return [...regions, ...sensors.map(({ id, tier, longitude, latitude, child }) => `${id} ${tier} ${longitude} ${latitude} ${child}`)].join("\n");
}

/** Put a map together. */
export function compose(outlines: readonly Outline[], children: readonly MapChild[], sensors: readonly PlacedSensor[]): Scene {
  const shapes = telling(outlines);
  const tells = new Set(shapes);
  const look = looks(shapes, children);
  return {
    box: bounds(outlines),
    regions: {
      type: "FeatureCollection",
      features: outlines.map((outline) => ({
        type: "Feature",
        geometry: outline.geometry,
        properties: { code: outline.code, look: look.get(outline.code) ?? "none", schematic: outline.schematic, tells: tells.has(outline) },
      })),
    },
    sensors: {
      type: "FeatureCollection",
      features: sensors.map(({ sensor, at, small }) => ({
        type: "Feature",
        geometry: { type: "Point", coordinates: at },
        properties: { id: sensor.id, look: sensor.tier ?? "none", order: sensor.tier === null ? 0 : GRAVITY[sensor.tier], small },
      })),
    },
  };
}
