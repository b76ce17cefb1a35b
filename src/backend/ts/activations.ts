// The activations of linear layers and their derivatives, by the codes of the kernel interface.

import {
  gelu,
  geluBackward,
  geluTanh,
  geluTanhBackward,
  relu,
  relu2,
  relu2Backward,
  reluBackward,
} from "./elementwise.ts";

export const activations = [null, relu, gelu, geluTanh, relu2];
export const derivatives = [null, reluBackward, geluBackward, geluTanhBackward, relu2Backward];
