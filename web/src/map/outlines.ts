// The shapes of a region's map, and where its sensors are drawn in them.

import type { MultiPolygon } from "geojson";
import type { RegionMap } from "../schema";
import type { MapSensor, Name } from "./types";

/** Longitude, latitude. */
export type Place = [number, number];

/** West, south, east, north. */
export type Box = [number, number, number, number];

/** One shape of a map, as `schemas.rest.RegionMap` tells it. */
export interface Outline {
  code: string;
  role: "self" | "child";
  name: Name;
  schematic: boolean;
  label: Place;
  geometry: MultiPolygon;
}

/** A sensor at the place where it is drawn. */
export interface PlacedSensor {
  sensor: MapSensor;
  at: Place;
  /** Drawn small, for its shape is one of several. */
  small: boolean;
}

/**
 * Sensors as they can be drawn. `unplaced` have no coordinates on a map of true shapes; `arranged` were put into a made-up shape in no true
 * order; `crowded` would have been, but made-up shapes are many and small here, and their labels would be lost among marks.
 */
export interface Placement {
  placed: PlacedSensor[];
  unplaced: number;
  arranged: number;
  crowded: number;
}

/** Of more shapes than this each has less room: one mark in its label, and no sensors where it is made up. */
export const CROWD = 12;

/** The shapes of a map. */
export function read(map: RegionMap): Outline[] {
  return map.features.map((feature) => {
    const { geometry, properties } = feature as unknown as { geometry: MultiPolygon; properties: Omit<Outline, "geometry"> };
    return { ...properties, geometry };
  });
}

/** The shapes that tell of warnings: the children's, or the region's own where it has none. */
export function telling(outlines: readonly Outline[]): Outline[] {
  const children = outlines.filter((outline) => outline.role === "child");
  return children.length > 0 ? children : [...outlines];
}

/** What bounds the shapes. */
export function bounds(outlines: readonly Outline[]): Box {
  const box: Box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x = 0, y = 0] of outlines.flatMap((outline) => outline.geometry.coordinates.flat(2))) {
    box[0] = Math.min(box[0], x);
    box[1] = Math.min(box[1], y);
    box[2] = Math.max(box[2], x);
    box[3] = Math.max(box[3], y);
  }
  return box;
}

const GOLDEN = Math.PI * (3 - Math.sqrt(5));
const RING = 0.78; // of a hexagon's radius: inside its sides, clear of its label
const RING_HOLDS = 12;

/** Places in a hexagon for a number of things: on a ring, or over its width when they are many; the middle is left to the label. */
export function arrange(hexagon: Outline, count: number): Place[] {
  const [west, south, east, north] = bounds([hexagon]);
  const [rx, ry] = [(east - west) / Math.sqrt(3), (north - south) / 2];
  return Array.from({ length: count }, (_, at) => {
    const ring = count <= RING_HOLDS;
    const radius = ring ? RING : RING * Math.sqrt(1 - (0.8 * at) / count);
    const angle = ring ? (2 * Math.PI * at) / count : GOLDEN * at;
    return [hexagon.label[0] + rx * radius * Math.sin(angle), hexagon.label[1] + ry * radius * Math.cos(angle)];
  });
}

/**
 * Where sensors are drawn: at their coordinates in a true shape; in a made-up one arranged, for a true place would put them into
 * another street's hexagon.
 */
export function place(outlines: readonly Outline[], sensors: readonly MapSensor[]): Placement {
  const shapes = telling(outlines);
  const byShape = new Map<string, MapSensor[]>(shapes.map((shape) => [shape.code, []]));
  for (const sensor of sensors) byShape.get(shapes.length === 1 ? shapes[0]!.code : sensor.child)?.push(sensor);
  const placed: PlacedSensor[] = [];
  let [unplaced, arranged, crowded] = [0, 0, 0];
  for (const shape of shapes) {
    const here = byShape.get(shape.code)!;
    if (shape.schematic && shapes.length > CROWD) crowded += here.length;
    else if (shape.schematic) {
      const places = arrange(shape, here.length);
      [...here].sort((a, b) => (a.id < b.id ? -1 : 1)).forEach((sensor, at) => placed.push({ sensor, at: places[at]!, small: shapes.length > 1 }));
      arranged += here.length;
    } else {
      const known = here.flatMap((sensor): PlacedSensor[] =>
        sensor.longitude === null || sensor.latitude === null ? [] : [{ sensor, at: [sensor.longitude, sensor.latitude], small: shapes.length > 1 }],
      );
      placed.push(...known);
      unplaced += here.length - known.length;
    }
  }
  return { placed, unplaced, arranged, crowded };
}
