// A convolutional network that reads digits. They are drawn here in a font of 3 x 5 pixels, each
// image with another place, brightness and noise.

import {
  crossEntropy,
  DataLoader,
  manualSeed,
  nn,
  noGrad,
  optim,
  randint,
  randn,
  TensorDataset,
  tensor,
} from "tinybard";

// The rows of each digit, from 0 to 9: each octal number has the bits of three pixels.
const font = "75557 26227 71747 71717 55711 74717 74757 71111 75757 75717".split(" ");

/** Returns `count` images [count, 1, 8, 8] and their digits [count]. */
function drawDigits(count: number): TensorDataset {
  const digits = randint(0, 10, [count]);
  const images = randn([count, 8, 8]).mul(0.2).toArray() as number[][][];
  const places = randint(0, 4, [count, 2]).toArray() as number[][];
  for (const [i, digit] of digits.data().entries()) {
    const [top, left] = places[i];
    for (let row = 0; row < 5; row++) {
      for (let column = 0; column < 3; column++) {
        const isSet = (Number(font[digit][row]) >> (2 - column)) & 1;
        images[i][top + row][left + column] += isSet;
      }
    }
  }
  return new TensorDataset(tensor(images).unsqueeze(1), digits);
}

manualSeed(1);
const model = new nn.Sequential(
  new nn.Conv2d(1, 16, 3, { padding: 1 }),
  new nn.ReLU(),
  new nn.Conv2d(16, 32, 3, { padding: 1 }),
  new nn.ReLU(),
  new nn.MaxPool2d(2), // [B, 32, 4, 4]
  new nn.Flatten(),
  new nn.Linear(32 * 4 * 4, 10),
);
const optimizer = new optim.AdamW(model.parameters(), { lr: 5e-3 });
const loader = new DataLoader(drawDigits(2000), { batchSize: 50, shuffle: true });
const [x, y] = drawDigits(500).tensors;
const accuracy = () => noGrad(() => model.forward(x).argmax(1).eq(y).to("f32").mean().item());
for (let epoch = 1; epoch <= 5; epoch++) {
  for (const [images, digits] of loader) {
    crossEntropy(model.forward(images), digits).backward();
    optimizer.step();
    optimizer.zeroGrad();
  }
  console.log(`epoch ${epoch}: accuracy ${accuracy().toFixed(3)}`);
}
