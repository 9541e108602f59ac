import gcoord from "gcoord";
import { expect, it } from "vitest";
import { shifted, ways } from "./routes";

const METRES_A_DEGREE = 111_320;
const LANZHOU = { longitude: 103.83417, latitude: 36.06138, name: "酒泉路 1 号,东口" };

function metres([x, y]: readonly [number, number], { longitude, latitude }: { longitude: number; latitude: number }): number {
  return Math.hypot((x - longitude) * Math.cos((latitude * Math.PI) / 180), y - latitude) * METRES_A_DEGREE;
}

it("shifts by hundreds of metres, and back to within a metre", () => {
  const place = shifted(LANZHOU);
  expect(metres(place, LANZHOU)).toBeGreaterThan(100);
  expect(metres(place, LANZHOU)).toBeLessThan(1000);
  const [x, y] = gcoord.transform(place, gcoord.GCJ02, gcoord.WGS84);
  expect(metres([x, y], LANZHOU)).toBeLessThan(2);
});

it("agrees with a point that is known in both systems", () => {
  const [x, y] = shifted({ longitude: 116.397428, latitude: 39.90923, name: "" }); // Tian'anmen, as the algorithm that is published gives it
  expect(metres([x, y], { longitude: 116.403672, latitude: 39.910634 })).toBeLessThan(2);
});

it("leaves what lies outside China alone", () => {
  expect(shifted({ longitude: 2.3522, latitude: 48.8566, name: "" })).toEqual([2.3522, 48.8566]);
});

it("names the system to the programs that ask for it, and keeps a name in one parameter", () => {
  const [x, y] = shifted(LANZHOU);
  const urls = Object.fromEntries(ways(LANZHOU).map(({ key, url }) => [key, new URL(url)]));
  expect(urls["amap"]!.searchParams.get("to")).toBe(`${x},${y},酒泉路 1 号 东口`);
  expect(urls["amap"]!.searchParams.get("coordinate")).toBe("gaode");
  expect(urls["baidu"]!.searchParams.get("location")).toBe(`${y},${x}`);
  expect(urls["baidu"]!.searchParams.get("coord_type")).toBe("gcj02");
  expect(urls["tencent"]!.searchParams.get("tocoord")).toBe(`${y},${x}`);
});
