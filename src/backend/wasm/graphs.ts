// Captured graphs of the WebAssembly module. A graph works on addresses, so the buffers that it
// uses are freed only after it.

import type { CapturedGraph } from "../addon.ts";
import type { Buffer } from "../buffers.ts";
import type { ModuleMemory } from "./memory.ts";
import type { ModuleExports } from "./module.ts";

/** A graph in the module, with the buffers that it keeps. */
interface Graph {
  handle: number; // 0 during the capture and after the release
  readonly buffers: Set<Buffer>;
  readonly freed: Set<Buffer>; // those of `buffers` that only the graph uses now
  token: WeakRef<object> | null; // what JavaScript has; null during the capture
}

export class Graphs {
  readonly #native: ModuleExports;
  readonly #memory: ModuleMemory;
  /** All that have not been released, with the one that is being captured. */
  readonly #graphs = new Set<Graph>();
  /** The graphs by what JavaScript has; when that is dropped, the graph is released. */
  readonly #byToken = new WeakMap<object, Graph>();
  readonly #collector = new FinalizationRegistry<Graph>((graph) => this.#release(graph));
  #current: Graph | null = null;

  constructor(native: ModuleExports, memory: ModuleMemory) {
    this.#native = native;
    this.#memory = memory;
  }

  /** Captures all calls from now on. Discards a capture in progress. */
  begin(): void {
    if (this.#current) this.#release(this.#current);
    this.#current = null; // in case that the module has no memory left
    this.#native.beginCapture();
    this.#current = { handle: 0, buffers: new Set(), freed: new Set(), token: null };
    this.#graphs.add(this.#current);
  }

  /** Adds the buffers of a call to the graph that is being captured. */
  note(buffers: readonly Buffer[]): void {
    if (!this.#current) return;
    for (const buffer of buffers) this.#current.buffers.add(buffer);
  }

  /** Returns the captured graph, or undefined if no capture is in progress. */
  end(): CapturedGraph | undefined {
    const graph = this.#current;
    if (!graph) return undefined;
    this.#current = null;
    graph.handle = this.#native.endCapture();
    const token = {};
    graph.token = new WeakRef(token);
    this.#byToken.set(token, graph);
    this.#collector.register(token, graph);
    return token as CapturedGraph;
  }

  /** Returns the module's handle of a graph. Throws if it cannot be replayed now. */
  handleToReplay(token: unknown): number {
    const { handle } = this.#find("replay", token);
    if (this.#current) throw new Error("replay: a replay cannot be captured");
    if (handle === 0) throw new Error("replay: the graph has been released");
    return handle;
  }

  /** Frees the memory that only a graph uses, by default that of all graphs. */
  release(token?: unknown): void {
    if (token !== undefined) {
      this.#release(this.#find("releaseGraph", token));
      return;
    }
    for (const graph of this.#graphs) {
      if (graph !== this.#current) this.#release(graph);
    }
  }

  /** After a garbage collection, releases the dropped graphs. Returns true if there were any. */
  sweep(): boolean {
    const dropped = [...this.#graphs].filter(({ token }) => token && !token.deref());
    for (const graph of dropped) this.#release(graph);
    return dropped.length > 0;
  }

  /** Returns true if a graph uses a buffer: it is freed together with the graph. */
  defersFree(buffer: Buffer): boolean {
    for (const graph of this.#graphs) {
      if (!graph.buffers.has(buffer)) continue;
      graph.freed.add(buffer);
      return true;
    }
    return false;
  }

  #find(caller: string, token: unknown): Graph {
    const graph = typeof token === "object" && token !== null && this.#byToken.get(token);
    if (!graph) throw new TypeError(`${caller}: expected a captured graph`);
    return graph;
  }

  #release(graph: Graph): void {
    this.#graphs.delete(graph);
    if (graph.handle) this.#native.releaseGraph(graph.handle);
    graph.handle = 0;
    for (const buffer of graph.freed) {
      if (!this.defersFree(buffer)) this.#memory.free(buffer);
    }
    graph.buffers.clear();
    graph.freed.clear();
  }
}
