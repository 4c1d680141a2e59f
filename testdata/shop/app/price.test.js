"use strict";

const test = require("node:test");
const assert = require("node:assert");
const { price } = require("./price");

test("two mugs cost twice as much as one", () => {
  assert.strictEqual(price(2), 2 * price(1));
});
