// The bundle for browsers: it has no Node modules and no globals of Node.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { bundle } from "../support/bundle.js";
import { canTest, isWine } from "../support/platform.js";

const test = suite("browser/bundle");

const canBundle = canTest(!isWine, "bundles for browsers", "esbuild is a program for Linux");

test("the library for browsers bundles without Node modules", async () => {
  if (!canBundle) return;
  const [[, code]] = await bundle({ tinybard: "../dist/browser.js" });
  assert.not.match(code, /["'`]node:/);
  // a global of Node, not a property of that name or a part of a message
  assert.not.match(code, /(?<![\w.$"'`])(process|Buffer|require|setImmediate|__dirname)[.([]/);
  assert.ok(code.length < 210 * 1024, `${code.length} bytes`); // all of the library
});

test("a Node module in a bundle is an error", async () => {
  if (!canBundle) return;
  try {
    await bundle({ tinybard: "../dist/index.js" });
    assert.unreachable("bundled");
  } catch (error) {
    assert.match((error as Error).message, /Could not resolve "node:/);
  }
});

test.run();
