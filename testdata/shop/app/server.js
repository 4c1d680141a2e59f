"use strict";

const http = require("node:http");
const { price } = require("./price");

const port = Number(process.env.PORT || 8080);

const routes = {
  "/": () => ({ shop: "acme", items: [{ name: "mug", cents: price(2) }] }),
  "/healthz": () => ({ status: "ok" }),
};

const server = http.createServer((request, response) => {
  const route = routes[new URL(request.url, "http://shop.invalid").pathname];
  response.writeHead(route ? 200 : 404, { "content-type": "application/json" });
  response.end(JSON.stringify(route ? route() : { error: "not found" }) + "\n");
});

server.listen(port, () => console.log(`listening on ${port}`));

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => server.close(() => process.exit(0)));
}
