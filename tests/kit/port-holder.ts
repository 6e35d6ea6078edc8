/**
 * A program for a namespace: listens on the TCP ports named, on every address, echoes what comes, and
 * prints a line once it does. Stands for a host whose services are all switched on.
 */

import { once } from "node:events";
import { createServer } from "node:net";

for (const port of process.argv.slice(2)) {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  await once(server.listen(Number(port), "::"), "listening");
}
process.stdout.write("ready\n");
