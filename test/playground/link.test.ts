// Links with settings: a round trip, and links that must be refused.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { UsageError } from "#src/errors.js";
import { formatLink, parseLink } from "#src/playground/link.js";
import { defaultSettings, fromConfig, presets, toConfig } from "#src/playground/settings.js";

const test = suite("playground/link");

test("presets are the same after a round trip, and the defaults have no fragment", () => {
  assert.is(formatLink(defaultSettings), "");
  assert.is(parseLink(""), null);
  assert.is(parseLink("#"), null);
  for (const preset of Object.values(presets))
    assert.equal(parseLink(formatLink(preset)) ?? defaultSettings, preset);
  const other = { ...presets.tiny, text: "moby-dick", tokenizer: "bpe", seed: 7 } as const;
  assert.match(formatLink(other), /^#text=moby-dick&tokenizer=bpe&/);
  assert.equal(parseLink(formatLink(other)), other);
});

test("settings are the same after a round trip through the configuration of a run", () => {
  for (const preset of Object.values(presets)) {
    const settings = { ...preset, tokenizer: "bpe" } as const;
    assert.equal(fromConfig(toConfig(settings)), settings);
  }
});

test("the user's own text is not in a link", () => {
  const link = formatLink({ ...presets.tiny, text: "own" });
  assert.not(link.includes("own"));
  assert.is(parseLink(link)?.text, "names");
});

test("wrong links are refused with the name of the setting", () => {
  const wrong: Record<string, RegExp> = {
    "#nLayer=0": /nLayer is 0, expected a number from 1 to 12/,
    "#nLayer=1e9": /nLayer is 1000000000, expected a number from 1 to 12/,
    "#nLayer=2.5": /nLayer is 2.5, expected a whole number/,
    "#nLayer=-1": /nLayer is NaN/,
    "#nLayer=0x10": /nLayer is NaN/,
    "#nLayer=": /nLayer is NaN/,
    "#nHead=3": /nEmbd is 64, expected a multiple of nHead, 3/,
    "#seed=1e99": /seed is 1e\+99/,
    "#tokenizer=gpt2": /tokenizer is "gpt2", expected char, word, bpe/,
    "#text=%3Cimg%20src=x%20onerror=alert(1)%3E": /text is "<img src=x onerror=alert\(1\)>"/,
    "#text=../../etc/passwd": /text is/,
    "#layers=3": /unknown option layers/,
    "#__proto__=1": /unknown option __proto__/,
    "#constructor=1": /unknown option constructor/,
    "#nLayer=2&nLayer=3": /nLayer occurs twice/,
    [`#seed=${"1".repeat(2000)}`]: /2005 characters, expected at most 1000/,
  };
  for (const [fragment, message] of Object.entries(wrong)) {
    try {
      parseLink(fragment);
      assert.unreachable(`${fragment} is accepted`);
    } catch (error) {
      assert.instance(error, UsageError, fragment);
      assert.match((error as Error).message, message);
    }
  }
});

test.run();
