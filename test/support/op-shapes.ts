// Shapes and domains for tests of ops.

/** Shapes of elementwise ops: sizes around every vector width and tile size. */
export const elementwiseShapes = [
  [],
  [1],
  [3, 5],
  [7],
  [8],
  [9],
  [15],
  [16],
  [17],
  [2, 31],
  [33],
  [0],
];

/** Maps x away from a kink at 0. */
export const awayFromZero = (x: number) => x + Math.sign(x || 1) * 1e-2;

/** Input shapes whose last dimension covers sizes around every vector width. */
export const rowShapes = [
  [2, 1],
  [3, 5],
  [2, 3, 7],
  [1, 8],
  [2, 9],
  [3, 15],
  [2, 16],
  [17],
  [2, 31],
  [4, 33],
  [3, 65],
];
