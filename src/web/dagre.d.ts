// The parts of dagre that are used. Its own type declarations do not resolve with NodeNext, so
// `paths` in tsconfig.json names this file in their place.

interface Point {
  x: number;
  y: number;
}

export declare class Graph {
  constructor(options: { multigraph: boolean });
  setGraph(options: Record<string, string | number>): void;
  graph(): { width: number; height: number };
  setNode(id: string, size: { width: number; height: number }): void;
  node(id: string): Point;
  setEdge(from: string, to: string, label: object, id: string): void;
  edge(from: string, to: string, id: string): { points: Point[] };
}

export declare function layout(graph: Graph): void;
