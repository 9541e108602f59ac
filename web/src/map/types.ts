/** What the map is told; `RegionMap.vue` draws it. Plain values: whoever hands them over makes new arrays when something changed. */

export type Tier = "red" | "orange" | "yellow" | "blue";
export type Theme = "dark" | "light";
export type Language = "zh" | "en";
export interface Name {
  zh: string;
  en: string;
}

/** A region right below the shown one; the shown one itself where nothing lies below it (a street). */
export interface MapChild {
  code: string;
  name: Name;
  level: "city" | "district" | "street";
  /** The gravest tier of its open warnings; null when there are none. */
  tier: Tier | null;
  /** Open warnings by tier. */
  counts: Record<Tier, number>;
  sensors: number;
  /** How many of its sensors have fallen silent. */
  silent: number;
}

export interface MapSensor {
  id: string;
  name: Name;
  /** The gravest tier of its open warnings. */
  tier: Tier | null;
  /** The gravest of its open warnings, for a click on it. */
  warning: string | null;
  domain: "water" | "sewage" | "dust" | "fire";
  longitude: number | null;
  latitude: number | null;
  street: string;
  /** The `MapChild` in which it stands. */
  child: string;
}
