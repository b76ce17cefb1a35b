// Loaded by Node for Windows in Wine. Wine 8 has no TCP_KEEPALIVE option: Node's fetch(), which
// sets it, would fail with `connect UNKNOWN`.

require("node:net").Socket.prototype.setKeepAlive = function setKeepAlive() {
  return this;
};
