// Solutions to lesson 13
//
// Merges across words, source code in the tokens of a novel, and decoding token by token.
//
// Time: 3 seconds.

import { readFileSync } from "node:fs";
import { BPETokenizer, loadCorpus } from "tinybard";
import { encode, format, learnMerges } from "../13-tokenizers.ts";
import { percent, say } from "../print.ts";

export async function solution() {
  const { text } = await loadCorpus();
  const train = text.slice(0, 100_000);
  const val = text.slice(-30_000);

  say(`1. Without pre-tokenization the frequent ends and beginnings of words merge across the space
    between them. Such a token depends on which words happen to be neighbors, "the" is spelled in
    many ways, and less is left for the words themselves.`);
  const crossing = learnMerges(train, 60, /[\s\S]+/gu).map(({ left, right }) => left + right);
  const acrossWords = crossing.filter((token) => /\S\s/.test(token));
  console.log(`${acrossWords.length} of 60 tokens contain the end of a word and a space:`);
  console.log(format(acrossWords.slice(0, 16)));

  say(`2. TypeScript takes more tokens for the same text: its words are others, and its indentation
    is single spaces. Tokens for runs of spaces, learned from code, would help.`);
  const merges = learnMerges(train, 512);
  const file = new URL("../../../lessons/13-tokenizers.ts", import.meta.url);
  const source = readFileSync(file, "utf8");
  const measure = (text: string) => {
    const tokens = encode(text, merges);
    const blank = tokens.filter((token) => /^\s+$/.test(token)).length / tokens.length;
    return { charactersPerToken: text.length / tokens.length, blank };
  };
  const prose = measure(val);
  const code = measure(source);
  for (const [name, { charactersPerToken, blank }] of Object.entries({ prose, code }))
    console.log(
      `${name}: ${charactersPerToken.toFixed(2)} characters per token, ${percent(blank)} blank`,
    );

  say(`3. A program that prints token after token must wait until the bytes of a character are
    complete. decoder() keeps incomplete bytes, as TextDecoder does with { stream: true }.`);
  const tokenizer = BPETokenizer.train("cafe", { vocabSize: 256 });
  const ids = tokenizer.encode("é");
  const separate = ids.map((id) => tokenizer.decode([id]));
  const decoder = tokenizer.decoder();
  const streamed = [...ids].map((id) => decoder.write(id));
  console.log(`é is ${ids.length} tokens, one by one: ${JSON.stringify(separate)}`);
  console.log(`with decoder(): ${JSON.stringify(streamed)}`);
  return { acrossWords, prose, code, separate, streamed };
}
