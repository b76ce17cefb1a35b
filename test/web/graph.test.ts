// The graph of an expression: its backward steps produce the library's own gradients bit for bit,
// and its notes describe the steps correctly.

import { readFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collectGraph } from "#src/ops/graphviz.js";
import { evaluate } from "#src/web/expression.js";
import { buildGraph } from "#src/web/graph.js";
import { graphRoutes } from "#src/web/graph-routes.js";
import { examples } from "#src/web/page/examples.js";
import type { Graph, JSONNumber } from "#src/web/protocol.js";
import { serve } from "#src/web/server.js";
import { assertClose } from "../support/harness.js";

const test = suite("web/graph");

const programs = {
  neuron: "x = [1, -2]\nw = [0.5, 1]\nb = 0.1\ny = tanh(w @ x + b)\nloss = (y - 1) ** 2",
  twice: "a = 3\nb = a + a\nc = b * b\nd = c + b",
  shared: "x = [[1, 2], [3, 4]]\ny = x @ x\nz = sum(y * x) - sum(y)",
  broadcast: "x = [[1, 2, 3], [4, 5, 6]]\nb = [0.5, -1, 2]\nc = [[2], [-3]]\ny = sum((x * b + c) / b - c)",
  crossEntropy: "z = [1, 2, 0.5]\ne = exp(z)\np = e / sum(e)\nloss = -log(p @ [0, 1, 0])",
  softmax: "z = [1, 2, 0.5]\nt = [0, 1, 0]\nloss = -sum(t * logSoftmax(z)) + sum(softmax(z) ** 3)",
  network: `x = [[0.5, -1], [1, 2]]\nw1 = [[1, -1, 0.5], [0.3, 2, -1]]\nb1 = [0.1, 0.2, 0.3]
h = gelu(x @ w1 + b1)\nw2 = [[1], [-1], [0.5]]\ny = sigmoid(h @ w2)\nloss = mean((y - [[1], [0]]) ** 2)`,
  others: `x = [0.5, 2, -1]\ny = relu(x) + relu2(x) + silu(x) + sin(x) * cos(x) - abs(x)
z = sqrt(exp(y)) / max(y)\nm = [[1, 2], [3, 5]]\nv = var(transpose(m) @ m, dim = 0)\nr = sum(z) + max(v) * mean(-z)`,
}; // biome-ignore format: code in lines

/** Returns the gradients after the last step, by node. */
function getFinalGradients({ steps }: Graph): Map<number, JSONNumber[]> {
  const all = steps.flatMap(({ gradients }) => gradients);
  return new Map(all.map(({ node, values }) => [node, values]));
}

for (const [name, code] of Object.entries(programs)) {
  for (const dtype of ["f64", "f32"] as const) {
    test(`${name}, ${dtype}: the steps produce the gradients of Tensor.backward() bit for bit`, () => {
      const graph = buildGraph(code, { dtype });
      const { root, variables } = evaluate(code, { dtype });
      const tensors = collectGraph(root, ...variables.values()).sort((a, b) => a.id - b.id);
      for (const x of tensors) if (x.node) x.retainGrad();
      const values = tensors.map((x) => Array.from(x.data()));
      root.backward();
      assert.is(graph.nodes.length, tensors.length);
      const gradients = getFinalGradients(graph);
      for (const [i, x] of tensors.entries()) {
        assert.equal(graph.nodes[i].values, values[i]);
        const grad = x.grad && Array.from(x.grad.data());
        assert.equal(gradients.get(i) ?? null, grad, `${graph.nodes[i].label} of ${name}`);
      }
      assert.ok(gradients.size > 3);
    });
  }

  test(`${name}: the gradients of its leaves equal central differences`, () => {
    const graph = buildGraph(code);
    const gradients = getFinalGradients(graph);
    const leaves = [...code.matchAll(/^(\w+) = (\[.*\]|[\d.]+)$/gm)];
    assert.ok(leaves.length > 0);
    for (const [line, label, literal] of leaves) {
      const numbers = /-?[\d.]+/g;
      const count = [...literal.matchAll(numbers)].length;
      const expected = Array.from({ length: count }, (_, i) => {
        const evaluateAt = (h: number) => {
          let index = 0;
          const shifted = literal.replace(numbers, (x) => {
            const isShifted = index === i;
            index++;
            return isShifted ? `${Number(x) + h}` : x;
          });
          return evaluate(code.replace(line, `${label} = ${shifted}`)).root.item();
        };
        return (evaluateAt(1e-5) - evaluateAt(-1e-5)) / 2e-5;
      });
      const node = graph.nodes.findIndex((candidate) => candidate.label === label);
      const actual = gradients.get(node) as number[];
      assertClose(actual, expected, { rtol: 1e-6, atol: 1e-8, what: label });
    }
  });
}

test("the examples of the page and of its documentation work as described", () => {
  const document = readFileSync(new URL("../../docs/dashboard.md", import.meta.url), "utf8");
  const [, documentedCode] = /```text\n(.*?)```/s.exec(document) ?? [];
  const { steps } = buildGraph(documentedCode);
  const [, note] = /such as `(dw .*?)`/.exec(document) ?? [];
  assert.ok(
    steps.some(({ notes }) => notes.includes(note)),
    note,
  );
  for (const code of Object.values(examples)) assert.ok(buildGraph(code).steps.length > 3);
  const getLeafGradient = (name: string, label: string) => {
    const graph = buildGraph(examples[name]);
    const gradients = getFinalGradients(graph);
    return gradients.get(graph.nodes.findIndex((node) => node.label === label)) as number[];
  };
  const sum = Math.exp(1) + Math.exp(2) + Math.exp(0.5);
  const difference = [1, 2, 0.5].map((z, i) => Math.exp(z) / sum - [0, 1, 0][i]);
  assertClose(getLeafGradient("softmax and cross-entropy", "z"), difference, { rtol: 1e-12 });
  assertClose(getLeafGradient("a neuron", "n"), [0.5], { rtol: 1e-4 });
});

test("the root's gradient comes first, then each op once, after all ops that use its result", () => {
  for (const code of Object.values(programs)) {
    const { nodes, edges, steps } = buildGraph(code);
    assert.equal(steps[0].gradients, [{ node: steps[0].node, values: [1] }]);
    const order = steps.slice(1).map(({ node }) => node);
    assert.is(new Set(order).size, order.length);
    const expected = nodes.filter(({ op, requiresGrad }) => op && requiresGrad).length;
    assert.is(order.length, expected);
    for (const { from, to } of edges)
      if (order.includes(from)) assert.ok(order.indexOf(to) < order.indexOf(from));
  }
});

test("the gradient of a value that is used twice accumulates both terms", () => {
  const { nodes, edges, steps } = buildGraph(programs.twice);
  assert.equal(nodes.map(({ label }) => label), ["a", "b", "c", "d"]); // biome-ignore format: short
  assert.is(edges.filter(({ from, to }) => from === 0 && to === 1).length, 2);
  const descriptions = steps.map(({ notes, gradients }) => [
    notes.join("; "),
    ...gradients.map(({ node, values }) => `${nodes[node].label} ${values}`),
  ]);
  assert.equal(descriptions, [
    ["dd = 1", "d 1"],
    ["dc += dd; db += dd", "c 1", "b 1"],
    ["db += dc * b; db += dc * b", "b 13"],
    ["da += db; da += db", "a 26"],
  ]);
});

test("inEvalMode a note yields what its step has added", () => {
  let checked = 0;
  for (const code of Object.values(programs)) {
    const { nodes, steps } = buildGraph(code);
    const grads = new Map<number, JSONNumber[]>();
    const index = new Map(nodes.map(({ label }, i) => [label, i]));
    for (const { notes, gradients } of steps) {
      const changed = new Map(gradients.map(({ node, values }) => [node, values]));
      const parsed = notes.map((note) => /^d(\w+) \+= ([^,]*)$/.exec(note));
      for (const [node, values] of changed) {
        const own = notes.flatMap((note, i) =>
          note.startsWith(`d${nodes[node].label} += `) ? [parsed[i]?.[2]] : [],
        );
        if (own.length === 0 || own.includes(undefined)) continue; // described in prose
        const names = new Set(own.join(" ").match(/[a-z_]\w*/gi) ?? []);
        const lines = [...names].flatMap((name) => {
          const isValue = index.has(name);
          const i = index.get(isValue ? name : name.slice(1));
          if (i === undefined) return []; // a function
          const numbers = isValue ? nodes[i].values : grads.get(i);
          return `${name} = ${toLiteral(numbers as number[], nodes[i].shape)}`;
        });
        const { root } = evaluate(
          [...lines, own.map((term) => `(${term})`).join(" + ")].join("\n"),
        );
        const before = grads.get(node) ?? nodes[node].values.map(() => 0);
        const sum = (before as number[]).map((value, j) => value + root.data()[j % root.size]);
        assertClose(values as number[], sum, { rtol: 1e-12, what: notes.join("; ") });
        checked++;
      }
      for (const [node, values] of changed) grads.set(node, values);
    }
  }
  assert.ok(checked > 40, `${checked} notes were evaluated`);
});

/** Formats values as code of the expression language. */
function toLiteral(values: number[], shape: number[]): string {
  if (shape.length === 0) return values[0].toFixed(17);
  const step = values.length / shape[0];
  const rows = Array.from({ length: shape[0] }, (_, i) =>
    toLiteral(values.slice(i * step, (i + 1) * step), shape.slice(1)),
  );
  return `[${rows.join(", ")}]`;
}

test("the boxes do not overlap and are within the picture, in both directions", () => {
  for (const direction of ["LR", "TB"] as const) {
    const { nodes, edges, width, height } = buildGraph(programs.network, { direction });
    for (const [i, a] of nodes.entries()) {
      assert.ok(a.x - a.width / 2 >= 0 && a.x + a.width / 2 <= width, a.label);
      assert.ok(a.y - a.height / 2 >= 0 && a.y + a.height / 2 <= height, a.label);
      for (const b of nodes.slice(i + 1)) {
        const isApart =
          Math.abs(a.x - b.x) >= (a.width + b.width) / 2 ||
          Math.abs(a.y - b.y) >= (a.height + b.height) / 2;
        assert.ok(isApart, `${a.label} overlaps ${b.label}`);
      }
    }
    const axis = direction === "LR" ? "x" : "y";
    for (const { from, to } of edges) assert.ok(nodes[from][axis] < nodes[to][axis]);
  }
});

test("labels are variables, plain numbers, or v1, v2, ... without those that are variables", () => {
  const { nodes } = buildGraph("v1 = 2\nunused = [1, 2]\ny = exp(v1 * 3) ** 2");
  const labels = nodes.map(({ label }) => label);
  assert.equal(labels.sort(), ["3", "unused", "v1", "v2", "v3", "y"]);
  assert.is(nodes.find(({ op }) => op === "pow")?.detail, "2");
  const constant = (dtype: "f32" | "f64") =>
    buildGraph("x = 1\ny = x * 1.23456789", { dtype }).nodes[1];
  assert.is(constant("f64").label, "1.23456789");
  assert.is(constant("f32").label, "1.234568");
  const { nodes: reduced } = buildGraph("x = [[1, 2]]\nsum(sum(x, dim = 0))");
  assert.is(reduced.find(({ detail }) => detail)?.detail, "dim = 0");
});

test("NaN and infinities are preserved in JSON", () => {
  const { nodes, steps } = buildGraph("x = [0, 1]\ny = sum(1 / x)");
  assert.equal(nodes.find(({ op }) => op === "div")?.values, ["Infinity", 1]);
  assert.equal(steps.at(-1)?.gradients[0].values, ["-Infinity", -1]);
  const text = JSON.stringify(buildGraph("x = 0\ny = x / 0 * 0"));
  assert.not.match(text, /null,null|\[null/);
  assert.match(text, /"NaN"/);
});

test("an expression without backward() is an error", () => {
  assert.throws(
    () => buildGraph("x = [1, 2]\ny = x * 2"),
    /^line 2, column 1: the last line has shape \[2\]/,
  );
  assert.throws(() => buildGraph("y = exp([1])"), /the last line does not require a gradient/);
  assert.is(buildGraph("x = 2").steps.length, 1);
});

test("POST /graph returns a graph, or an error with its position", async () => {
  const { server, url } = await serve(graphRoutes, 7891);
  const send = async (body: unknown) => {
    const headers = { "content-type": "application/json" };
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const response = await fetch(`${url}graph`, { method: "POST", headers, body: text });
    const content = (await response.json()) as Graph & { error: string };
    return { status: response.status, content };
  };
  try {
    const valid = await send({ code: programs.neuron, dtype: "f32", direction: "TB" });
    assert.is(valid.status, 200);
    assert.equal(valid.content, buildGraph(programs.neuron, { dtype: "f32", direction: "TB" }));
    const invalid: [body: unknown, status: number, error: RegExp][] = [
      [{ code: "x = [" }, 400, /^line 1, column 6: found the end of the line, expected a number/],
      [
        { code: "x = 1\n__proto__ = constructor" },
        400,
        /^line 2, column 13: constructor is not defined/,
      ],
      [{ code: 1 }, 400, /^code is number, expected string$/],
      [{}, 400, /^code is undefined, expected string$/],
      ['{"code": "x = 1", "__proto__": {}}', 400, /^unknown field __proto__$/],
      [{ code: "x = 1", dtype: "bf16" }, 400, /^unknown dtype, expected f32 or f64$/],
      [{ code: "x = 1", direction: "up" }, 400, /^unknown direction, expected LR or TB$/],
      [{ code: `x = 1\ny = x${" * x".repeat(64)}` }, 400, /the graph has 65 tensors, expected at/],
      [{ code: "[".repeat(60_000) }, 400, /the code has 60000 characters, expected at most 2000$/],
      [{ code: "(".repeat(2000) }, 400, /expected at most 40 nested brackets$/],
      [{ code: "1".repeat(10 ** 6) }, 413, /more than 65536 bytes/],
    ];
    for (const [body, status, error] of invalid) {
      const response = await send(body);
      assert.is(response.status, status, JSON.stringify(body).slice(0, 80));
      assert.match(response.content.error, error);
    }
    const largest = await send({ code: `x = 1\ny = x${" * x".repeat(63)}` });
    assert.is(largest.content.steps.length, 64);
  } finally {
    server.close();
  }
});

test.run();
