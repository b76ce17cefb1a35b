// The text of tensors against that of PyTorch, and what is printed when values cannot be read.

import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import {
  add,
  type DType,
  exp,
  mul,
  ones,
  setDefaultDevice,
  sum,
  type Tensor,
  tensor,
  zeros,
} from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { formatValues } from "#src/tensor/format.js";
import { eachDevice, fixturePath } from "../support/harness.js";

interface Case {
  values?: (number | string)[];
  step?: number;
  shape: number[];
  dtype: DType;
  text: string;
}

const golden: Case[] = JSON.parse(readFileSync(fixturePath("printing.json"), "utf8"));
const numbers: Record<string, number> = { nan: Number.NaN, inf: Infinity, "-inf": -Infinity };

function readValues({ values, step = 1, shape, dtype }: Case): Float64Array {
  if (values) return Float64Array.from(values, (x) => (typeof x === "string" ? numbers[x] : x));
  const round = dtype === "f64" ? Number : Math.fround;
  const size = shape.reduce((a, b) => a * b, 1);
  return Float64Array.from({ length: size }, (_, i) => round(i * step));
}

const test = suite("printing");

test("values are formatted as in PyTorch", () => {
  assert.ok(golden.length > 250, `${golden.length} cases`);
  for (const example of golden) {
    const { shape, dtype, text } = example;
    const actual = formatValues(readValues(example), shape, dtype !== "i32", 7);
    assert.is(actual, text, `${dtype} ${shape} ${example.values ?? example.step}`);
  }
});

test("only the device that is not the default one is printed", () => {
  setDefaultDevice("ts");
  assert.is(inspect(tensor(1)), "tensor(1.)");
  assert.is(inspect(tensor([1, 2.5])), "tensor([1.0000, 2.5000], shape=[2])");
  setDefaultDevice("auto");
  const x = tensor([1, 2], { device: "ts", dtype: "i32" });
  const place = String(zeros([1]).device) === "ts" ? "" : ", device=ts";
  assert.is(`${x}`, `tensor([1, 2], shape=[2], dtype=i32${place})`);
});

test.run();

eachDevice("printing", (test, on) => {
  test("a tensor shows its values, shape, dtype and op", () => {
    const x = tensor(
      [
        [1, 2],
        [3, 4],
      ],
      { requiresGrad: true },
    );
    const text = "tensor([[1., 2.],\n        [3., 4.]], shape=[2, 2], requiresGrad=true)";
    for (const printed of [inspect(x), String(x), `${x}`]) assert.is(printed, text);
    assert.is(inspect(sum(x)), "tensor(10., gradFn=sum)");
    assert.is(String(zeros([2, 0])), "tensor([], shape=[2, 0])");
    const loss = exp(zeros([1], { requiresGrad: true }));
    assert.is(
      inspect({ logits: null, loss }),
      "{ logits: null, loss: tensor([1.], shape=[1], gradFn=exp) }",
    );
  });

  test("details that do not fit move to another line", () => {
    const text = String(ones([12], { requiresGrad: true, dtype: "f32" }));
    assert.is(
      text,
      "tensor([1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1., 1.], shape=[12],\n" +
        "       requiresGrad=true)",
    );
  });

  test("every rank and dtype prints", () => {
    const dtypes: DType[] = on.name.startsWith("cuda") ? ["f32", "i32", "bf16"] : ["f32", "i32"];
    for (const dtype of dtypes) {
      for (let rank = 0; rank <= 6; rank++) {
        const text = String(ones(Array(rank).fill(1), { dtype }));
        const value = dtype === "i32" ? "1" : "1.";
        assert.ok(text.startsWith(`tensor(${"[".repeat(rank)}${value}${"]".repeat(rank)}`), text);
      }
    }
    assert.match(String(tensor([1], { dtype: "f64", device: "ts" })), /dtype=f64/);
  });

  test("a tensor whose values cannot be read says why", () => {
    const x = tensor([1, 2], { requiresGrad: true });
    const y = mul(x, x);
    sum(y).backward();
    assert.match(
      inspect(y),
      /^tensor\(<mul \[2\] was freed by backward\(\); .*>,\n {7}shape=\[2\], gradFn=mul\)$/,
    );
    const texts: string[] = [];
    const step = on.capture((z: Tensor) => {
      texts.push(inspect(z), String(add(z, 1)));
      return z;
    });
    for (let i = 0; i < 3; i++) step(tensor([1, 2]));
    assert.ok(texts.length >= 4);
    const expected = "tensor(<values are not read inside a captured step>, shape=[2])";
    for (const text of texts) assert.is(text, expected);
  });

  test("JSON.stringify() writes nested arrays", () => {
    const json = JSON.stringify({
      x: tensor([
        [1, 2],
        [3, 0.5],
      ]),
      y: tensor(2),
    });
    assert.is(json, '{"x":[[1,2],[3,0.5]],"y":2}');
    assert.is(JSON.stringify(tensor([Number.NaN, Infinity])), "[null,null]");
    assert.is(JSON.stringify(zeros([2, 0])), "[[],[]]");
  });

  test("one element converts to a number, and several are an error", () => {
    const x = tensor([[1.5]]);
    assert.is(Number(x), 1.5);
    assert.is(+x * 2, 3);
    assert.ok((x as unknown as number) > 1);
    assert.is(`${"loss "}${x}`, "loss tensor([[1.5000]], shape=[1, 1])");
    assert.throws(
      () => Number(tensor([1, 2])),
      "Number: x has shape [2], expected one element; operators of JavaScript do not compute " +
        "with tensors: use add(x, y), mul(x, y), lt(x, y)",
    );
    assert.throws(() => (ones([2]) as unknown as number) < 3, /lt\(x, y\)/);
  });

  test("toArray() checks the number of axes that it is passed", () => {
    const rows = tensor([
      [1, 2],
      [3, 4],
    ]).toArray(2);
    assert.is(rows[1][0] + tensor(3).toArray(0), 6);
    assert.equal(ones([1, 1, 2]).toArray(3)[0], [[1, 1]]);
    assert.throws(() => tensor([1, 2]).toArray(2), "toArray: x has shape [2], expected 2 axes");
  });
});
