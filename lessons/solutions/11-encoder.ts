// Solutions to lesson 11
//
// Reviews with "but" and "although", and a classifier without positions.
//
// Time: 2 seconds.

import { testAccuracy } from "../11-encoder.ts";
import { percent, say } from "../print.ts";
import { createReviews, isInTest } from "../reviews.ts";

export async function solution() {
  say(`1. With "but" alone it is enough to tell whether an adjective is in the first or the second
    half. With both conjunctions, the model must also combine that with the conjunction: the same
    word in the same place counts in one review and not in the other.`);
  const but = createReviews();
  const both = [...but, ...createReviews("although")];
  const train = both.filter((review) => !isInTest(review));
  const test = both.filter(isInTest);
  const bySteps = [150, 300, 600].map((steps) => {
    const accuracy = testAccuracy(1, train, test, { steps });
    console.log(`both, ${steps} steps: ${percent(accuracy)} of the test set`);
    return accuracy;
  });

  say(`2. Without positions and without a mask, the outputs of a block do not depend on the order of
    the tokens, and neither does their mean: it is a bag of words again (lesson 12 measures
    this).`);
  const butTrain = but.filter((review) => !isInTest(review));
  const butTest = but.filter(isInTest);
  const withPositions = testAccuracy(1, butTrain, butTest);
  const without = testAccuracy(1, butTrain, butTest, { usesPositions: false });
  console.log(`with positions ${percent(withPositions)}, without ${percent(without)}`);
  return { bySteps, withPositions, without };
}
