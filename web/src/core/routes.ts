// The way to a place in the map programs of a phone, as links that open them or their pages.

import gcoord from "gcoord";

/** Where something is, CGCS2000, degrees. */
export interface Place {
  longitude: number;
  latitude: number;
  name: string;
}

/** A link to a map program; `key` names it in the interface's words. */
export interface Way {
  key: "amap" | "baidu" | "tencent";
  url: string;
}

const OURS = "tongguan";

/**
 * Longitude and latitude in GCJ-02, the system of all three programs; unshifted they would be hundreds of metres off.
 *
 * CGCS2000 is taken for WGS 84, for which the shift is defined: the two differ by less than a metre.
 */
export function shifted({ longitude, latitude }: Place): [longitude: number, latitude: number] {
  const [x, y] = gcoord.transform([longitude, latitude], gcoord.WGS84, gcoord.GCJ02);
  return [Number(x.toFixed(6)), Number(y.toFixed(6))];
}

const link = (base: string, parameters: Record<string, string>): string => `${base}?${new URLSearchParams(parameters).toString()}`;

/** The links to a place. */
export function ways(place: Place): Way[] {
  const [x, y] = shifted(place);
  const { name } = place;
  return [
    { key: "amap", url: link("https://uri.amap.com/navigation", { to: `${x},${y},${name.replaceAll(",", " ")}`, mode: "car", coordinate: "gaode", src: OURS, callnative: "1" }) },
    { key: "baidu", url: link("https://api.map.baidu.com/marker", { location: `${y},${x}`, title: name, content: name, coord_type: "gcj02", output: "html", src: OURS }) },
    { key: "tencent", url: link("https://apis.map.qq.com/uri/v1/routeplan", { type: "drive", to: name, tocoord: `${y},${x}`, referer: OURS }) },
  ];
}
