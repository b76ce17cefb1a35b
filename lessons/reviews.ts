// The sentences that lesson 11 classifies: two opinions that contradict each other, of which the
// conjunction selects one.

const positive = ["lovely", "clever", "bright", "funny", "warm", "fresh"];
const negative = ["dull", "silly", "dark", "slow", "cold", "stale"];
const nouns = ["film", "music", "cast", "story", "ending"];

/** The words of all reviews. */
export const vocabulary = ["the", "was", "but", "although", ...nouns, ...positive, ...negative];

/** A sentence of nine words. The label is 1 if it is positive overall, otherwise 0. */
export interface Review {
  text: string;
  label: number;
}

/**
 * Returns all reviews like "the film was dull but the music was lovely": with "but" the end
 * decides, with "although" the beginning.
 */
export function createReviews(conjunction: "but" | "although" = "but"): Review[] {
  const subjects = nouns.flatMap((a) => nouns.filter((b) => b !== a).map((b) => [a, b]));
  const opinions = positive.flatMap((good) =>
    negative.flatMap((bad) => [
      { first: good, second: bad, label: 0 },
      { first: bad, second: good, label: 1 },
    ]),
  );
  return subjects.flatMap(([a, b]) =>
    opinions.map(({ first, second, label }) => ({
      text: `the ${a} was ${first} ${conjunction} the ${b} was ${second}`,
      label: conjunction === "but" ? label : 1 - label,
    })),
  );
}

/** Returns whether the review's adjectives are those of the test set: a quarter of all pairs. */
export function isInTest({ text }: Review): boolean {
  const i = positive.findIndex((word) => text.includes(word));
  const j = negative.findIndex((word) => text.includes(word));
  return (i + j) % 4 === 0;
}
