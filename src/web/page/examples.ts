// Example expressions for the Autograd view.

export const examples: Record<string, string> = {
  "a neuron": `# lesson 1: b is chosen so that dy/dn = 1/2
x1 = 2
x2 = 0
w1 = -3
w2 = 1
b = 6.8814
n = x1 * w1 + x2 * w2 + b
y = tanh(n)`,

  "a value used twice": `# gradients of both uses are added
a = 3
b = a + a
c = b * b
d = c + b`,

  "softmax and cross-entropy": `# written out; the gradient of the logits
# is softmax(z) - [0, 1, 0]
z = [1, 2, 0.5]
e = exp(z)
p = e / sum(e)
loss = -sum([0, 1, 0] * log(p))`,

  "a linear layer": `# backward() sums over broadcast dimensions
x = [[1, 2], [3, 4], [-1, 0.5]]
w = [[0.5, -1], [0.25, 2]]
b = [0.1, -0.1]
y = x @ w + b
loss = mean(y ** 2)`,

  "a two-layer network": `x = [[0.5, -1], [1, 2]]
w1 = [[1, -1, 0.5], [0.3, 2, -1]]
b1 = [0.1, 0.2, 0.3]
h = relu(x @ w1 + b1)
w2 = [[1], [-1], [0.5]]
y = sigmoid(h @ w2)
loss = mean((y - [[1], [0]]) ** 2)`,
};
