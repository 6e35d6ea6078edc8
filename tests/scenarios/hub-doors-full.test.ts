/** V2 on the doors of the hub: what comes by one of them takes room from all, and none takes more. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { freePorts, type Installation, startInstallation } from "../kit/installation.ts";

/** The least that may be set: four such messages fit. */
const largest = 65_536;
const folder = mkdtempSync(join(tmpdir(), "doors-"));
const paths = { local: join(folder, "local"), lmtp: join(folder, "lmtp") };
let relayPort = 0;
let installation: Installation;

before(async () => {
  [relayPort = 0] = await freePorts(1);
  installation = await startInstallation({
    listen: { ...paths, relay: `127.0.0.1:${relayPort}` },
    config: `[smtp]
maxMessageBytes = ${largest}
[inbound.inner]
door = "relay"
networks = ["127.0.0.0/8"]
`,
  });
});
after(async () => {
  await installation?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

interface Client extends Disposable {
  ask(line: string): Promise<string>;
}

/** The greeting is heard. */
async function clientOver(socket: Socket): Promise<Client> {
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  const reply = async (): Promise<string> => {
    for (;;) {
      const { value } = (await lines.next()) as { value?: string };
      if (value === undefined) throw new Error("the connection ended");
      if (value[3] === " ") return value;
    }
  };
  socket.on("error", () => {});
  await reply();
  return {
    ask(line) {
      socket.write(`${line}\r\n`);
      return reply();
    },
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

function doors(): Readonly<Record<string, () => Promise<Client>>> {
  const ready = installation.ready();
  const hello = async (socket: Socket, line = "EHLO c.example"): Promise<Client> => {
    const client = await clientOver(socket);
    await client.ask(line);
    return client;
  };
  return {
    local: () => hello(connect(paths.local)),
    lmtp: () => hello(connect(paths.lmtp), "LHLO c.example"),
    relay: () => hello(connect(relayPort, "127.0.0.1")),
    async submission() {
      const { address, password } = ready.accounts[0] ?? { address: "", password: "" };
      const ca = readFileSync(ready.ca);
      const client = await hello(connectTls({ ...ready.submission, ca, servername: "localhost" }));
      const login = Buffer.from(`\0${address}\0${password}`).toString("base64");
      assert.match(await client.ask(`AUTH PLAIN ${login}`), /^235 /);
      return client;
    },
  };
}

describe("V2 the hub's doors share what they hold in memory", () => {
  test("V2 what the local door holds leaves no room at the others, and comes free", async () => {
    const open = doors();
    const pieceBytes = 64_000;
    const octets = `\r\n${"y".repeat(98)}\r\n`.repeat(1000).slice(0, pieceBytes - 2);
    const ready = installation.ready();
    {
      await using holders = new AsyncDisposableStack();
      for (let nth = 0; nth < 4; nth += 1) {
        const client = holders.use((await open["local"]?.()) as Client);
        await client.ask("MAIL FROM:<>");
        await client.ask(`RCPT TO:<${ready.accounts[0]?.address}>`);
        const taken = await client.ask(`BDAT ${pieceBytes}\r\n${octets}`);
        assert.match(taken, /^250 2\.0\.0 /);
      }
      for (const [door, dial] of Object.entries(open)) {
        using client = await dial();
        const from = door === "submission" ? (ready.accounts[0]?.address ?? "") : "";
        assert.match(await client.ask(`MAIL FROM:<${from}>`), /^452 4\.3\.1 /, door);
      }
    }
    for (const [door, dial] of Object.entries(open)) {
      using client = await dial();
      const from = door === "submission" ? (ready.accounts[0]?.address ?? "") : "";
      let reply = "";
      for (let tries = 0; !reply.startsWith("250") && tries < 15; tries += 1) {
        reply = await client.ask(`MAIL FROM:<${from}> SIZE=${largest}`);
        if (!reply.startsWith("250")) await new Promise((resolve) => setTimeout(resolve, 100));
      }
      assert.match(reply, /^250 /, door);
    }
  });
});
