/** An application published by nothing but a table of the configuration, with every program real. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { type RequestOptions, request } from "node:https";
import { after, before, describe, test } from "node:test";
import { type Installation, startInstallation } from "../kit/installation.ts";

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** What the application was asked, in order. */
const asked: { url: string; method: string; headers: IncomingHttpHeaders; body: string }[] = [];
let application: Server;
let system: Installation;

async function fetchFrom(path: string, options: RequestOptions = {}, body = ""): Promise<Answer> {
  const { https, ca } = system.ready();
  const { hostname, port } = new URL(https.url);
  const call = request({
    ...{ host: hostname, port, path, ca: readFileSync(ca), agent: false },
    ...options,
  });
  call.end(body);
  const [response] = await once(call, "response");
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  return { status: response.statusCode, headers: response.headers, body: text };
}

/** The cookie of a new session. */
async function login(): Promise<string> {
  const [account] = system.ready().accounts;
  const form = await fetchFrom("/login");
  const formCookie = form.headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
  const token = /name="token" value="([^"]+)"/.exec(form.body)?.[1] ?? "";
  const { address = "", password = "" } = account ?? {};
  const fields = {
    step: "password",
    token,
    return: "/app/",
    name: address,
    password,
    computer: "private",
  };
  const origin = new URL(system.ready().https.url).origin;
  const headers = {
    "content-type": "application/x-www-form-urlencoded",
    cookie: formCookie,
    origin,
  };
  const body = new URLSearchParams(fields).toString();
  const answer = await fetchFrom(
    "/login",
    { method: "POST", headers: { ...headers, "content-length": body.length } },
    body,
  );
  assert.equal(answer.status, 303, answer.body);
  assert.equal(answer.headers.location, "/app/");
  const cookies = answer.headers["set-cookie"] ?? [];
  return cookies.find((one) => one.startsWith("__Host-postern="))?.split(";")[0] ?? "";
}

before(async () => {
  application = createServer((incoming, response) => {
    let body = "";
    incoming.on("data", (chunk: Buffer) => {
      body += chunk.toString();
    });
    incoming.once("end", () => {
      const { url = "", method = "", headers } = incoming;
      asked.push({ url, method, headers, body });
      response.writeHead(200, {
        "content-type": "text/plain",
        "set-cookie": ["app=1; Domain=example; Path=/app", "__Host-postern=stolen; Path=/; Secure"],
        "www-authenticate": "Basic",
        "x-powered-by": "sample",
      });
      response.end(`asked for ${url}`);
    });
  });
  application.listen(0, "127.0.0.1");
  await once(application, "listening");
  const address = application.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  system = await startInstallation({
    config: `[publish.sample]
upstream = "http://127.0.0.1:${port}"
path = "/app"
signOn = "header"
`,
  });
});

after(async () => {
  await system[Symbol.asyncDispose]();
  application.close();
});

describe("CAP-21 a sample application, published by configuration only", () => {
  test("is behind the login form", async () => {
    const answer = await fetchFrom("/app/page", { headers: { accept: "text/html" } });
    assert.equal(answer.status, 303);
    assert.equal(answer.headers.location, "/login?return=%2Fapp%2Fpage");
    assert.equal((await fetchFrom("/app/page")).status, 401);
    assert.equal((await fetchFrom("/apple")).status, 404);
    assert.equal((await fetchFrom("/app/%2e%2e/x")).status, 400);
    assert.deepEqual(asked, [], "nothing of it reached the application");
  });

  test("answers who is signed in, and is told who that is", async () => {
    const cookie = `${await login()}; other=2`;
    const headers = { cookie, "x-remote-user": "root", "x-forwarded-for": "192.0.2.1" };
    const answer = await fetchFrom("/app/100%25%20sure?q=%2525", { headers });
    assert.equal(answer.status, 200);
    assert.equal(answer.body, "asked for /app/100%25%20sure?q=%2525");
    assert.deepEqual(answer.headers["set-cookie"], ["app=1; Path=/app; Secure; SameSite=Lax"]);
    assert.equal(answer.headers["www-authenticate"], undefined);
    assert.equal(answer.headers["x-powered-by"], undefined);
    assert.equal(answer.headers["cache-control"], "no-store");
    const seen = asked.at(-1)?.headers ?? {};
    assert.equal(seen["x-remote-user"], system.ready().accounts[0]?.address);
    assert.equal(seen.cookie, "other=2");
    assert.equal(seen["x-forwarded-for"], "127.0.0.1");
  });

  test("takes what its own pages post, and nothing from elsewhere", async () => {
    const cookie = await login();
    const { origin } = new URL(system.ready().https.url);
    const post = (from: string): Promise<Answer> =>
      fetchFrom(
        "/app/save",
        { method: "POST", headers: { cookie, origin: from, "content-length": 3 } },
        "abc",
      );
    assert.equal((await post(origin)).status, 200);
    assert.equal(asked.at(-1)?.body, "abc");
    assert.equal((await post("https://evil.example")).status, 403);
    assert.equal((await fetchFrom("/app/x", { method: "BREW", headers: { cookie } })).status, 405);
  });
});
