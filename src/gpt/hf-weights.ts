// The weight files of a Hugging Face model: model.safetensors, or the shards that an index lists.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { shorten } from "../errors.ts";
import { loadSafetensors, readTensorInfo, type TensorDict } from "../files/safetensors.ts";
import type { Shape } from "../shape.ts";
import { invalid, readJSON } from "./hf-config.ts";
import { checkShapes, type NamedShape } from "./shapes.ts";

/** Returns the name under which a tensor is loaded; null for one that is not loaded. */
type Rename = (name: string) => string | null;

/** Returns the paths of the weight files in a folder: a single file, or all shards. */
export function findWeightFiles(folder: string): string[] {
  const single = join(folder, "model.safetensors");
  if (existsSync(single)) return [single];
  const index = join(folder, "model.safetensors.index.json");
  if (!existsSync(index)) throw invalid(single, "the file does not exist");
  const shards = Object.values(readJSON(index).weight_map ?? {}).map(String);
  if (shards.length === 0 || !shards.every((name) => /^[^/\\]+\.safetensors$/.test(name)))
    throw invalid(index, "weight_map must name files in the same folder");
  return Array.from(new Set(shards), (name) => join(folder, name));
}

/** Returns true if the config.json in a folder is that of transformers, not that of a run. */
export function isHuggingFaceFolder(folder: string): boolean {
  const file = join(folder, "config.json");
  return existsSync(file) && "model_type" in readJSON(file);
}

/**
 * Reads all tensors of a model under their names in it. Throws a HuggingFaceError, before it reads
 * any, unless the headers of the files list exactly the expected shapes, and floats.
 * `expectedShapes` returns them for at most a number of blocks.
 */
export function readWeights(
  files: readonly string[],
  rename: Rename,
  expectedShapes: (maxBlocks: number) => Map<string, Shape>,
): TensorDict {
  checkHeaders(files, rename, expectedShapes);
  const dict: TensorDict = Object.create(null);
  for (const file of files) {
    for (const [fullName, x] of Object.entries(loadSafetensors(file))) {
      const name = rename(fullName);
      if (name !== null) dict[name] = x;
    }
  }
  return dict;
}

function checkHeaders(
  files: readonly string[],
  rename: Rename,
  expectedShapes: (maxBlocks: number) => Map<string, Shape>,
): void {
  const source = new Map<string, string>(); // the file of each tensor
  const found: NamedShape[] = [];
  for (const file of files) {
    for (const { name: fullName, shape, dtype } of readTensorInfo(file)) {
      const name = rename(fullName);
      if (name === null) continue;
      if (source.has(name)) throw invalid(file, `${shorten(name)} appears twice`);
      if (!/^B?F\d/.test(dtype))
        throw invalid(file, `${shorten(name)} has dtype ${dtype}, expected floats`);
      source.set(name, file);
      found.push({ name, shape });
    }
  }
  // an invalid config.json may have any number of blocks: list one more than could exist
  const expected = expectedShapes(found.length + 1);
  checkShapes(found, expected, "config.json", (problem, tensor) => {
    throw invalid(source.get(tensor) ?? files.slice(0, 4).join(", "), problem);
  });
}
