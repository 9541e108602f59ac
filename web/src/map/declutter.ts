// Which labels of a map are shown whole: those of graver regions first, none over another.

/** A label: where its middle is and how large it is, whole and with its name left out. */
export interface Sized {
  x: number;
  y: number;
  whole: readonly [width: number, height: number];
  brief: readonly [width: number, height: number];
  /** Greater is more important. */
  weight: number;
}

/** `whole`, `brief` (without the name) or `hidden`. */
export type Room = "whole" | "brief" | "hidden";

const GAP = 2;

type Rectangle = readonly [left: number, top: number, right: number, bottom: number];

const rectangle = ({ x, y }: Sized, [width, height]: readonly [number, number]): Rectangle => [x - width / 2 - GAP, y - height / 2 - GAP, x + width / 2 + GAP, y + height / 2 + GAP];

const apart = (a: Rectangle, b: Rectangle): boolean => a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1];

/** How much of each label there is room for, in the order given: the marks of all that fit before the name of any. */
export function declutter(labels: readonly Sized[]): Room[] {
  const taken = new Map<number, Rectangle>();
  const rooms = labels.map((): Room => "hidden");
  const order = labels.map((_, at) => at).sort((a, b) => labels[b]!.weight - labels[a]!.weight || a - b);
  for (const room of ["brief", "whole"] as const) {
    for (const at of order) {
      const label = labels[at]!;
      const mine = rectangle(label, label[room]);
      if (label[room][0] === 0 || ![...taken].every(([other, theirs]) => other === at || apart(mine, theirs))) continue;
      taken.set(at, mine);
      rooms[at] = room;
    }
  }
  return rooms;
}
