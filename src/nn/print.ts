// A module as text: the tree of its fields, as PyTorch prints it, with the numbers of parameters.

import { formatCount, indentLines } from "../printing.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The part of a module that is printed. */
interface PrintedModule {
  extraRepr(): string;
}

/** The tests for modules and their tensors. */
interface Kinds {
  isModule(value: unknown): value is PrintedModule;
  isParameter(value: unknown): value is Tensor;
  isBuffer(value: unknown): value is Tensor;
}

/** The numbers of elements of a module's tensors. */
interface Counts {
  parameters: number;
  buffers: number;
}

/** A module, or a list of modules, as text. */
interface Printed extends Counts {
  text: string;
}

/** A field of a module. */
interface Child {
  field: string;
  text: string;
}

const none: Counts = { parameters: 0, buffers: 0 };

/**
 * Formats a module and those inside of it. A parameter counts where it is found first; other
 * modules that share it say so. Equal modules next to each other in a list are printed once.
 */
export function formatModule(root: PrintedModule, kinds: Kinds): string {
  const owners = new Map<Tensor, string>();
  const paths = new Map<unknown, string>();

  const print = (value: unknown, path: string): Printed | null => {
    if (typeof value === "function") return { text: value.name || "function", ...none };
    if (typeof value !== "object" || value === null) return null;
    const isModule = kinds.isModule(value);
    const name = isModule || !isPlain(value) ? value.constructor.name : "";
    const first = paths.get(value);
    if (first !== undefined)
      return isModule ? { text: `${name}()  // the module ${first || "itself"}`, ...none } : null;
    if (!isModule && !Array.isArray(value) && !isPlain(value)) return null;
    paths.set(value, path);

    const notes: string[] = [];
    const children: Child[] = [];
    const counts = { ...none };
    for (const [field, inner] of Object.entries(value)) {
      const innerPath = path ? `${path}.${field}` : field;
      if (kinds.isParameter(inner) || kinds.isBuffer(inner)) {
        const owner = owners.get(inner);
        if (owner !== undefined) notes.push(`${field} is ${owner}`);
        else counts[kinds.isParameter(inner) ? "parameters" : "buffers"] += inner.size;
        owners.set(inner, owner ?? innerPath);
        continue;
      }
      if (typeof inner === "function" && !Array.isArray(value)) continue;
      const printed = print(inner, innerPath);
      if (!printed) continue;
      counts.parameters += printed.parameters;
      counts.buffers += printed.buffers;
      children.push({ field, text: printed.text });
    }
    if (!isModule && children.length === 0) return null;
    const { parameters, buffers } = counts;
    if (buffers > 0) notes.unshift(`${formatCount(buffers, "element")} in buffers`);
    if (parameters > 0) notes.unshift(formatCount(parameters, "parameter"));
    const details = isModule ? value.extraRepr() : "";
    const note = notes.length > 0 ? `  // ${notes.join(", ")}` : "";
    if (children.length === 0) return { text: `${name}(${details})${note}`, ...counts };
    const [open, close] = name === "" || name === "Array" ? ["[", "]"] : [`${name}(`, ")"];
    const lines = collapse(children);
    if (details) lines.unshift(details);
    return { text: [`${open}${note}`, ...lines.map(indentLines), close].join("\n"), ...counts };
  };

  return (print(root, "") as Printed).text;
}

function isPlain(value: object): boolean {
  return Object.getPrototypeOf(value) === Object.prototype;
}

/** Returns the lines of children; a run of equal ones in a list becomes (0-5): 6 x Block(...). */
function collapse(children: readonly Child[]): string[] {
  const lines: string[] = [];
  for (let start = 0; start < children.length; ) {
    const { field, text } = children[start];
    let end = start + 1;
    while (/^\d+$/.test(field) && children[end]?.text === text) end++;
    const count = end - start;
    const each = text.replace(/( parameters?| in buffers)$/m, "$& each");
    lines.push(
      count === 1
        ? `(${field}): ${text}`
        : `(${field}-${children[end - 1].field}): ${count} x ${each}`,
    );
    start = end;
  }
  return lines;
}
