/** A real web server behind a publisher: large files both ways, and many requests at once. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomFillSync } from "node:crypto";
import { once } from "node:events";
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { application, edgeTo, handle, portOf, statusOf } from "./fixture.test.ts";

const nginx = "/usr/sbin/nginx";
const skip = existsSync(nginx) ? false : "needs the package nginx-light";

interface Nginx extends AsyncDisposable {
  readonly url: string;
  readonly folder: string;
}

async function startNginx(): Promise<Nginx> {
  const folder = mkdtempSync(join(tmpdir(), "postern-nginx-"));
  const free = createServer();
  const port = await portOf(free);
  await new Promise((resolve) => void free.close(resolve));
  mkdirSync(join(folder, "files"));
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((one) => `${one}_temp_path ${folder}/${one};`)
    .join("\n");
  const configuration = `
daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 256; }
http { access_log off; client_max_body_size 0; keepalive_requests 100000; ${temporary}
server { listen 127.0.0.1:${port}; root ${folder}/files;
location /put/ { dav_methods PUT; create_full_put_path on; } } }`;
  writeFileSync(join(folder, "nginx.conf"), configuration);
  const child: ChildProcess = spawn(nginx, ["-p", folder, "-c", join(folder, "nginx.conf")], {
    stdio: "ignore",
  });
  const exited = once(child, "exit");
  for (let tries = 0; !(await answers(port)); tries += 1) {
    assert.ok(tries < 200 && child.exitCode === null, "nginx does not start");
    await pause(25);
  }
  return {
    url: `http://127.0.0.1:${port}`,
    folder,
    async [Symbol.asyncDispose]() {
      child.kill();
      await exited;
      rmSync(folder, { recursive: true });
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => (socket.destroy(), resolve(true)));
    socket.on("error", () => resolve(false));
  });
}

const bigBytes = 100 * 1024 * 1024;
/** Window of the link, and what sockets hold; the file is far larger. */
const mostHeldBytes = 16 * 1024 * 1024;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function heldBytes(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

describe("nginx behind a publisher", { skip }, () => {
  test("W14 100 MB come down through a slow reader without being held", async (context) => {
    await using server = await startNginx();
    const piece = randomFillSync(Buffer.alloc(1024 * 1024));
    const path = join(server.folder, "files", "big");
    for (let at = 0; at < bigBytes; at += piece.length) writeFileSync(path, piece, { flag: "a" });
    using edge = edgeTo(application(server.url));
    const before = heldBytes();
    let most = 0;
    const stream = edge.open({ target: "/big" });
    const answer = (await stream.answered) as { bodyBytes: number };
    assert.equal(answer.bodyBytes, bigBytes);
    const digest = createHash("sha256");
    let count = 0;
    await new Promise<void>((resolve, reject) => {
      stream.receive({
        data(octets) {
          digest.update(octets);
          count += 1;
          if (count % 64 !== 0) return undefined;
          most = Math.max(most, heldBytes() - before);
          return pause(2).then(() => {});
        },
        end: () => resolve(),
        broken: (why) => reject(new Error(why)),
      });
    });
    assert.equal(digest.digest("hex"), await digestOf(path));
    context.diagnostic(`held at most ${Math.round(most / 1048576)} MiB`);
    assert.ok(most < mostHeldBytes, `${most} octets held`);
  });

  for (const body of [bigBytes, "chunked"] as const) {
    test(`W14 100 MB go up (${body}) without being held`, async (context) => {
      await using server = await startNginx();
      using edge = edgeTo(application(server.url));
      const before = heldBytes();
      const piece = randomFillSync(Buffer.alloc(1024 * 1024));
      let most = 0;
      const stream = edge.open({ target: "/put/big", method: "PUT", body, session: handle }, false);
      for (let at = 0; at < bigBytes; at += piece.length) {
        if (at % (4 * piece.length) === 0) most = Math.max(most, heldBytes() - before);
        if (!stream.send(Buffer.from(piece))) await stream.drained();
      }
      stream.end();
      assert.deepEqual(((await stream.answered) as { status: number }).status, 201);
      assert.equal(statSync(join(server.folder, "files", "put", "big")).size, bigBytes);
      context.diagnostic(`held at most ${Math.round(most / 1048576)} MiB`);
      assert.ok(most < mostHeldBytes, `${most} octets held`);
    });
  }

  test("400 requests at once on 8 connections, HEAD, ranges and 404 among them", async () => {
    await using server = await startNginx();
    writeFileSync(join(server.folder, "files", "page"), "0123456789");
    using edge = edgeTo(application(server.url, { maxConnections: 8 }));
    const ask = async (nth: number): Promise<void> => {
      if (nth % 4 === 0) {
        const got = await edge.ask({ target: "/page", headers: [["range", "bytes=2-4"]] });
        assert.deepEqual([statusOf(got), got.body.toString()], [206, "234"]);
      } else if (nth % 4 === 1) {
        const got = await edge.ask({ target: "/page", method: "HEAD" });
        assert.deepEqual([statusOf(got), got.body.length], [200, 0]);
      } else if (nth % 4 === 2) assert.equal(statusOf(await edge.ask({ target: "/none" })), 404);
      else assert.equal((await edge.ask({ target: "/page" })).body.toString(), "0123456789");
    };
    for (let round = 0; round < 4; round += 1) {
      await Promise.all(Array.from({ length: 100 }, (_, nth) => ask(nth)));
    }
  });
});

async function digestOf(path: string): Promise<string> {
  const digest = createHash("sha256");
  for await (const piece of createReadStream(path)) digest.update(piece as Buffer);
  return digest.digest("hex");
}
