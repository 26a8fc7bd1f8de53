// Labels beside points, none over another: each takes the first free place around its point, or none.

/** A point with a label, in pixels. */
export interface LabelledPoint {
  /** What to write. */
  readonly text: string;
  /** From the left. */
  readonly x: number;
  /** From the top. */
  readonly y: number;
}

/** Where a label may stand. */
export interface LabelArea {
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
  /** Height of the letters in pixels. */
  readonly fontSize: number;
}

/** A label's left end and middle, in pixels. */
export interface PlacedLabel extends LabelledPoint {
  /** The point that it belongs to. */
  readonly point: LabelledPoint;
}

interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Mean width of a letter, in units of its height. */
const LETTER = 0.56;
const POINT_RADIUS = 5;

/**
 * Places labels, the first ones best. Points that are close to each other get their labels at a distance.
 *
 * @param points Points in order of importance.
 * @param area Where labels may stand, and how tall they are.
 * @returns Labels that found a place.
 */
export function placeLabels(points: readonly LabelledPoint[], area: LabelArea): PlacedLabel[] {
  const { fontSize } = area;
  const taken: Box[] = points.map(({ x, y }) => around(x, y));
  const placed: PlacedLabel[] = [];
  for (const point of points) {
    const width = point.text.length * fontSize * LETTER;
    for (const [x, y] of candidates(point, width, fontSize)) {
      const box = {
        left: x - 2,
        right: x + width + 2,
        top: y - fontSize / 2 - 1,
        bottom: y + fontSize / 2 + 1,
      };
      if (!inside(box, area) || taken.some((other) => overlap(box, other))) continue;
      taken.push(box);
      placed.push({ text: point.text, x, y, point });
      break;
    }
  }
  return placed;
}

function around(x: number, y: number): Box {
  return { left: x - POINT_RADIUS, right: x + POINT_RADIUS, top: y - POINT_RADIUS, bottom: y + POINT_RADIUS };
}

/** Right, left, above, below, then the same further away. */
function* candidates(
  { x, y }: LabelledPoint,
  width: number,
  fontSize: number,
): Generator<[x: number, y: number]> {
  for (let ring = 0; ring < 5; ring++) {
    const away = 9 + 14 * ring, step = ring * (fontSize + 2);
    for (const dy of ring === 0 ? [0] : [0, -step, step, -step / 2, step / 2]) {
      yield [x + away, y + dy];
      yield [x - away - width, y + dy];
    }
    yield [x - width / 2, y - 12 - step];
    yield [x - width / 2, y + 12 + step];
  }
}

function inside(box: Box, { width, height }: LabelArea): boolean {
  return box.left >= 0 && box.right <= width && box.top >= 0 && box.bottom <= height;
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
