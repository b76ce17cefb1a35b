// Lesson 0: What a language model is
//
// A language model predicts what comes next. After "I love to" it might give the word "eat" a
// probability of 3%, "read" 2%, and "of" almost nothing. To write, it draws one of the next words
// at random, with these probabilities, appends it, and predicts again: "I love to eat", then "I
// love to eat pizza". That is all that ChatGPT does when it answers. What differs is how the
// probabilities are computed, and that is the subject of this course.
//
// This lesson tries three ways on the same text, in the order of their history: counting (n-grams,
// since 1948), a recurrent network (an LSTM, 1997), and a transformer (2017).
//
// Time: 20 seconds.

import {
  BPETokenizer,
  crossEntropy,
  loadCorpus,
  manualSeed,
  nn,
  rand,
  type Tensor,
} from "tinybard";
import { barChart } from "./bar-chart.ts";
import { show } from "./figure.ts";
import { lineChart } from "./line-chart.ts";
import { say } from "./print.ts";
import { countParameters, estimateLoss, fit, tinyGPT, tokenize } from "./training.ts";

/**
 * Counts of all character sequences of up to `order` characters. The probability of a character
 * after a context of k characters mixes the counts with the probability after the k - 1 last ones:
 *
 *     p_k(c) = (count(context c) + strength p_{k-1}(c)) / (count(context) + strength)
 *
 * so that a rare context relies on shorter ones; p_{-1} = 1 / V. MacKay and Peto (1995).
 */
export class NGrams {
  readonly counts = new Map<string, number>();
  readonly characters: readonly string[];
  readonly strength: number;

  constructor(text: string, order: number, characters: readonly string[], strength = 5) {
    this.characters = characters;
    this.strength = strength;
    this.counts.set("", text.length);
    for (let i = 0; i < text.length; i++) {
      for (let length = 1; length <= order && i + length <= text.length; length++) {
        const sequence = text.slice(i, i + length);
        this.counts.set(sequence, (this.counts.get(sequence) ?? 0) + 1);
      }
    }
  }

  /** Returns the probability of a character after a context. */
  probability(context: string, character: string): number {
    let p = 1 / this.characters.length;
    for (let k = 0; k <= context.length; k++) {
      const suffix = context.slice(context.length - k);
      const total = this.counts.get(suffix) ?? 0;
      const count = this.counts.get(suffix + character) ?? 0;
      p = (count + this.strength * p) / (total + this.strength);
    }
    return p;
  }

  /** Returns the mean of -ln p over the characters of a text, for n-grams of n = `order`. */
  loss(text: string, order: number): number {
    let sum = 0;
    for (let i = order - 1; i < text.length; i++)
      sum -= Math.log(this.probability(text.slice(i - order + 1, i), text[i]));
    return sum / (text.length - order + 1);
  }

  /** Samples `count` characters after a prompt, one by one. */
  generate(prompt: string, count: number, order: number): string {
    let text = prompt;
    for (const u of rand([count]).data()) {
      const context = order > 1 ? text.slice(1 - order) : "";
      let rest = u;
      const next = this.characters.find((character) => {
        rest -= this.probability(context, character);
        return rest < 0;
      });
      text += next ?? " ";
    }
    return text;
  }
}

/** An LSTM reads the text character by character; its state is all that it remembers. */
class RecurrentModel extends nn.Module {
  readonly config = { blockSize: 32 };
  readonly embedding: nn.Embedding;
  readonly lstm = new nn.LSTM(32, 64, { batchFirst: true });
  readonly head: nn.Linear;

  constructor(vocabSize: number) {
    super();
    this.embedding = new nn.Embedding(vocabSize, 32);
    this.head = new nn.Linear(64, vocabSize);
  }

  forward(x: Tensor, y?: Tensor | null) {
    const [states] = this.lstm.forward(this.embedding.forward(x)); // (B, T, 64)
    const logits = this.head.forward(states); // (B, T, V)
    return { logits, loss: y ? crossEntropy(logits, y) : null };
  }
}

export async function lesson() {
  const { name, text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);

  say(`First, what is a "word"? A model reads tokens, and there are three common kinds. Words are
    few per sentence, but a new word has no token. Characters can spell everything, in long
    sequences. Subwords lie between: frequent words are one token, rare ones several. GPTs use
    subwords; this course mostly uses characters, because a small model can learn with them. Lesson
    13 has the details.`);
  const sentence = "I love to eat";
  const subwords = BPETokenizer.train(text.slice(0, 100_000), { vocabSize: 512 });
  const splits = {
    characters: [...sentence],
    words: sentence.split(" "),
    subwords: Array.from(subwords.encode(sentence), (id) => subwords.decode([id])),
  };
  for (const [kind, tokens] of Object.entries(splits))
    console.log(`${kind.padEnd(11)} ${tokens.map((token) => `[${token}]`).join("")}`);

  say(`The simplest way to predict is to count. How often did each character follow the last n - 1
    ones? A table of these counts is an n-gram model. Its loss, the mean of -ln p of the characters
    of new text, says how surprised it was; lower is better, and guessing among V characters has the
    loss ln V. Lesson 4 explains it.`);
  const trainText = tokenizer.decode(train);
  const valText = tokenizer.decode(val).slice(0, 50_000);
  const maxOrder = 7;
  const ngrams = new NGrams(trainText, maxOrder, tokenizer.characters);
  const lossesByOrder = Array.from({ length: maxOrder }, (_, i) => ({
    order: i + 1,
    train: ngrams.loss(trainText.slice(0, 50_000), i + 1),
    val: ngrams.loss(valText, i + 1),
  }));
  console.log("n    training text    new text");
  for (const { order, train, val } of lossesByOrder)
    console.log(`${order} ${train.toFixed(3).padStart(16)} ${val.toFixed(3).padStart(11)}`);
  const curves = [
    { name: "training text", points: lossesByOrder.map((row) => [row.order, row.train] as const) },
    { name: "new text", points: lossesByOrder.map((row) => [row.order, row.val] as const) },
  ];
  show(lineChart(curves, { title: `loss of n-grams on ${name}`, xLabel: "n" }), "lesson-00");

  say(`Longer contexts help, until they do not: ever more sequences of new text have never been
    seen. On the training text the loss keeps falling, because the table has memorized it. And no
    table reaches far back: in "I love to eat, because I am always hungry" the word "eat" is more
    than 20 characters before the one that it explains. Longer n also write better:`);
  manualSeed(0);
  const samples = [1, 2, 4, 7].map((order) => ngrams.generate("I love to ", 50, order));
  for (const [i, sample] of samples.entries())
    console.log(`n = ${[1, 2, 4, 7][i]}: ${JSON.stringify(sample)}`);

  say(`The second way: a recurrent network. It reads one token after the other and updates a state,
    a vector of numbers in which it can keep what matters. Similar contexts get similar states, so
    it can predict after contexts that it has never seen. But everything must pass through that
    state, and the tokens must be read one after the other, which is slow.`);
  manualSeed(0);
  const recurrent = new RecurrentModel(tokenizer.vocabSize);
  fit(recurrent, train, { steps: 500, lr: 0.01 });
  const lstm = estimateLoss(recurrent, val, 256);
  console.log(`LSTM, ${countParameters(recurrent)} parameters, 500 steps: loss ${lstm.toFixed(3)}`);

  say(`The third way: a transformer. Each token looks directly at all earlier ones and takes from
    them what it needs. Nothing must pass through a state, and all positions are computed at once,
    so that it can be trained on far more text. This is the GPT that the course builds.`);
  manualSeed(0);
  const transformer = tinyGPT(tokenizer.vocabSize, { positions: "rotary" });
  fit(transformer, train, { steps: 500, lr: 0.005 });
  const gpt = estimateLoss(transformer, val, 256);
  console.log(
    `GPT, ${countParameters(transformer)} parameters, 500 steps: loss ${gpt.toFixed(3)}\n`,
  );

  const best = lossesByOrder.reduce((a, b) => (b.val < a.val ? b : a));
  const losses = {
    "1-grams": lossesByOrder[0].val,
    "2-grams": lossesByOrder[1].val,
    "3-grams": lossesByOrder[2].val,
    [`${best.order}-grams, the best n`]: best.val,
    LSTM: lstm,
    GPT: gpt,
  };
  const title = `loss on new text of ${name}`;
  show(barChart(losses, { title, format: (loss) => loss.toFixed(3) }), "lesson-00-models");
  say(`After a few seconds of training the networks do not beat the best table, which has
    ${ngrams.counts.size} counts to their 30,000 parameters. (Their losses also include the first
    characters of each block, which have little context.) Of the two networks the LSTM is ahead: the
    transformer needs more training, longer contexts and a larger size to show its strength. But a
    table has no more to learn from the same text, and networks have: on Tiny Shakespeare, where the
    best table has a loss of 1.59, the GPT with 10.8 million parameters of Karpathy's lecture
    reaches 1.48. How to build it is the rest of this course.`);

  console.log(`Exercises
1. Replace the strength of 5 by 0.1 and by 100. Which n is best then, and why?
2. Count sequences of three words instead of characters. What part of those in new text has never
   occurred in the training text?`);
  return { splits, lossesByOrder, best, samples, lstm, gpt, counts: ngrams.counts.size };
}
