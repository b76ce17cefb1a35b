// Recommendations by matrix factorization: users and films are vectors, and a rating is the dot
// product of two of them. Half of the ratings are known; the others are predicted.

import {
  dropout,
  manualSeed,
  mseLoss,
  nn,
  noGrad,
  ones,
  optim,
  randn,
  type Tensor,
} from "tinybard";

const users = 60;
const films = 40;
const rank = 3;

class Factors extends nn.Module {
  users = new nn.Parameter(randn([users, rank]).mul(0.1));
  films = new nn.Parameter(randn([films, rank]).mul(0.1));

  /** The ratings [users, films]. */
  forward() {
    return this.users.matmul(this.films.transpose(0, 1));
  }
}

manualSeed(1);
const ratings = randn([users, rank]).matmul(randn([rank, films])); // the truth has the same rank
const known = dropout(ones([users, films]), { p: 0.5 })
  .gt(0)
  .to("f32"); // 1 or 0
const unknown = known.neg().add(1);

const model = new Factors();
const optimizer = new optim.AdamW(model.parameters(), { lr: 0.05, weightDecay: 0 });
/** The root of the mean squared error of the ratings that `mask` selects. */
const rootError = (mask: Tensor) =>
  noGrad(() => model.forward().sub(ratings).pow(2).mul(mask).sum().div(mask.sum()).sqrt().item());

for (let step = 0; step <= 300; step++) {
  mseLoss(model.forward().mul(known), ratings.mul(known)).backward();
  optimizer.step();
  optimizer.zeroGrad();
  if (step % 100 === 0)
    console.log(
      `step ${step}: error ${rootError(known).toFixed(3)} of the known ratings, ` +
        `${rootError(unknown).toFixed(3)} of the others`,
    );
}
