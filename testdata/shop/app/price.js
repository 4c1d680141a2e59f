"use strict";

// price is what a number of mugs costs, in cents.
exports.price = (mugs) => mugs * 950;
