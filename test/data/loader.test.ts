import {
  arange,
  DataLoader,
  manualSeed,
  randn,
  type Tensor,
  TensorDataset,
  tensor,
} from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { hasMessage } from "../support/harness.js";

const test = suite("data loader");

const rows = (n: number) => new TensorDataset(arange(2 * n).reshape(n, 2), arange(n));

test("batches are rows of each tensor, in order", () => {
  const loader = new DataLoader(rows(5), { batchSize: 2 });
  assert.is(loader.length, 3);
  const batches = [...loader].map(([x, y]) => [x.toArray(), y.toArray()]);
  assert.equal(batches, [
    [
      [
        [0, 1],
        [2, 3],
      ],
      [0, 1],
    ],
    [
      [
        [4, 5],
        [6, 7],
      ],
      [2, 3],
    ],
    [[[8, 9]], [4]],
  ]);
  const dropped = new DataLoader(rows(5), { batchSize: 2, dropLast: true });
  assert.is([...dropped].length, 2);
  assert.is(dropped.length, 2);
  assert.equal([...new DataLoader(rows(0))], []);
});

test("an epoch of shuffled batches has each row once; the seed decides the order", () => {
  const read = (loader: Iterable<Tensor[]>) => [...loader].flatMap(([, y]) => [...y.data()]);
  const loader = new DataLoader(rows(20), { batchSize: 3, shuffle: true });
  manualSeed(5);
  const epochs = [read(loader), read(loader)];
  manualSeed(5);
  assert.equal([read(loader), read(loader)], epochs);
  assert.not.equal(epochs[0], epochs[1]);
  const inOrder = Array.from({ length: 20 }, (_, i) => i);
  for (const epoch of epochs) {
    assert.not.equal(epoch, inOrder);
    assert.equal(
      epoch.sort((a, b) => a - b),
      inOrder,
    );
  }
});

test("a dataset of one's own may be slow, and collate makes its batches", async () => {
  const squares = { length: 3, get: async (i: number) => tensor([i, i * i]) };
  const batches: unknown[] = [];
  for await (const x of new DataLoader(squares, { batchSize: 2 })) batches.push(x.toArray());
  assert.equal(batches, [
    [
      [0, 0],
      [1, 1],
    ],
    [[2, 4]],
  ]);
  assert.throws(
    () => [...new DataLoader(squares)],
    hasMessage("DataLoader: the dataset returns promises; use for await"),
  );
  const words = { length: 3, get: (i: number) => "abc"[i] };
  const loader = new DataLoader(words, { batchSize: 2, collate: (list) => list.join("") });
  assert.equal([...loader], ["ab", "c"]);
  assert.throws(
    () => [...new DataLoader(words)],
    hasMessage("DataLoader: samples are neither tensors nor lists of them; use collate"),
  );
  const pairs = { length: 2, get: (i: number) => [tensor(i), tensor([i])] };
  const [[first, second]] = [...new DataLoader(pairs, { batchSize: 2 })];
  assert.equal([first.shape, second.shape], [[2], [2, 1]]);
});

test("a subclass, failures and changing lengths", async () => {
  class Doubled extends TensorDataset {
    override get(i: number) {
      return super.get(i).map((x) => x.mul(2));
    }
  }
  const [[doubled]] = [...new DataLoader(new Doubled(arange(3)), { batchSize: 3 })];
  assert.equal(doubled.toArray(), [0, 2, 4]);
  const failing = {
    length: 2,
    async get(i: number): Promise<Tensor> {
      throw new Error(`sample ${i} is damaged`);
    },
  };
  assert.throws(() => [...new DataLoader(failing, { batchSize: 2 })], /use for await/);
  const all = async () => {
    for await (const _ of new DataLoader(failing, { batchSize: 2 }));
  };
  await all().then(
    () => assert.unreachable(),
    (error) => assert.match(error.message, /sample 0 is damaged/),
  );
  const growing = { length: 2, get: (i: number) => tensor([i, growing.length++]) };
  assert.is([...new DataLoader(growing)].length, 2);
  const uneven = { length: 2, get: (i: number) => Array.from({ length: i + 1 }, () => tensor(i)) };
  assert.throws(
    () => [...new DataLoader(uneven, { batchSize: 2 })],
    hasMessage("DataLoader: sample 1 of a batch is not a list of 1 tensors; use collate"),
  );
  for (const i of [-1, 3, 0.5])
    assert.throws(() => new TensorDataset(arange(3)).select([i]), /does not exist/);
});

test("gradients flow to the rows", () => {
  const x = randn([4, 2], { requiresGrad: true });
  const [[batch]] = [...new DataLoader(new TensorDataset(x), { batchSize: 3 })];
  batch.sum().backward();
  assert.equal(x.grad?.toArray(), [
    [1, 1],
    [1, 1],
    [1, 1],
    [0, 0],
  ]);
});

test("what does not fit is refused", () => {
  const expectError = (f: () => unknown, message: string) => assert.throws(f, hasMessage(message));
  expectError(() => new TensorDataset(), "TensorDataset: no tensors, expected at least one");
  expectError(
    () => new TensorDataset(randn([3]), randn([2, 3])),
    "TensorDataset: tensor 1 has 2 rows, expected 3",
  );
  expectError(
    () => new TensorDataset(tensor(1)),
    "TensorDataset: tensor 0 is a scalar, expected rows",
  );
  expectError(() => rows(2).get(2), "TensorDataset: sample 2 does not exist, the length is 2");
  expectError(
    () => new DataLoader(rows(2), { batchSize: 0 }),
    "DataLoader: batchSize is 0, expected a whole number from 1 up",
  );
  expectError(
    () => new DataLoader([1, 2] as never),
    "DataLoader: dataset is [1, 2], expected one with get(i)",
  );
});

test.run();
