/** The policy of MTA-STS as the web edge serves it: to curl, and to our own fetcher (CAP-49). */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { systemClock } from "#base/clock";
import { silentLog } from "#base/log";
import { Registry } from "#base/measures";
import { linkPair } from "#contracts/link";
import { formatStsPolicy } from "#formats/mta-sts";
import { posternRules } from "#proxy";
import { fetchPolicy } from "#transport/tls-policy";
import { TlsWorld } from "../../../tests/kit/tls-world.ts";
import { webPolicySigner } from "../../../tests/kit/web-policy.ts";
import { type EdgeWeb, startEdgeWeb } from "./index.ts";

const policy = { mode: "enforce", mx: ["mail.one.example"], maxAge: 604_800 } as const;
const host = "mta-sts.one.example";
const path = "/.well-known/mta-sts.txt";

const world = new TlsWorld();
const folder = mkdtempSync(join(tmpdir(), "postern-texts-"));
const links = linkPair();
const signer = webPolicySigner();
let edge: EdgeWeb;

before(async () => {
  const { key, cert } = world.certificate({ names: ["mail.one.example", host] });
  const tls = { keyFile: join(folder, "key.pem"), certFile: join(folder, "cert.pem") };
  writeFileSync(tls.keyFile, key, { mode: 0o600 });
  writeFileSync(tls.certFile, cert);
  writeFileSync(join(folder, "root.pem"), world.authority.rootPem);
  edge = await startEdgeWeb(
    {
      listen: { host: "127.0.0.1", port: 0 },
      publishedHosts: ["mail.one.example"],
      tls,
      policyPublicKey: signer.policyPublicKey,
    },
    {
      links: {
        forKind: () => links[0],
        onStream: (handler) => links[0].onStream((stream) => handler(stream, links[0])),
      },
      clock: systemClock,
      log: silentLog,
      registry: new Registry(),
    },
  );
  await signer.tell(links[1], {
    version: 1,
    hosts: ["mail.one.example"],
    rules: posternRules([]),
    texts: [
      { hosts: [host], path, text: formatStsPolicy(policy) },
      { hosts: ["mail.one.example"], path: "/mail/", text: "must not hide the front's own" },
    ],
    login: { passkeys: false },
  });
  world.say("A", host, [{ address: "192.0.2.80" }]);
  world.lead("192.0.2.80:443", edge.endpoint.port);
});

after(async () => {
  await edge[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
  for (const link of links) link.close("test over");
  rmSync(folder, { recursive: true });
});

/** Status and body. */
async function curl(name: string, at: string, ...more: readonly string[]): Promise<string> {
  const { port } = edge.endpoint;
  const { stdout } = await promisify(execFile)("curl", [
    ...["--silent", "--max-time", "20", "--cacert", join(folder, "root.pem")],
    ...[
      "--connect-to",
      `${name}:443:127.0.0.1:${port}`,
      "--write-out",
      "%{http_code} %{content_type}",
    ],
    ...[...more, `https://${name}${at}`],
  ]);
  return stdout;
}

describe("CAP-49 our own policy on the web edge (RFC 8461 §3.3)", () => {
  for (const version of ["--http1.1", "--http2"]) {
    test(`curl ${version} reads it`, async () => {
      const got = await curl(host, path, version);
      assert.equal(got, `${formatStsPolicy(policy)}200 text/plain; charset=utf-8`);
    });
  }

  test("our own fetcher reads it", async () => {
    const fetched = await fetchPolicy("one.example", {
      resolver: world.resolver,
      dial: world.dial,
      clock: systemClock,
      authorities: [world.authority.rootPem],
    });
    assert.deepEqual(fetched, { ok: true, policy });
  });

  const cases = [
    [host, path, ["--head"], /200 text\/plain/],
    [host, path, ["--data", "x"], /405/],
    [host, path, ["--request", "DELETE"], /405/],
    [host, `${path}/`, [], /404/],
    [host, "/", [], /404/],
    [host, "/login", [], /404/],
    [host, "/mail/", [], /404/],
    [host, "/robots.txt", [], /404/],
    [host, "/.well-known/jmap", [], /404/],
    [host, "/.well-known/../.well-known/mta-sts.txt", ["--path-as-is"], /400/],
    ["mail.one.example", path, [], /404/],
  ] as const;
  for (const [name, at, more, expected] of cases) {
    test(`${more.join(" ")} ${name}${at}: ${expected}`, async () => {
      assert.match(await curl(name, at, ...more), expected);
    });
  }

  test("a text of a host that is ours anyway hides nothing there", async () => {
    assert.doesNotMatch(await curl("mail.one.example", "/mail/"), /must not hide/);
  });

  test("a policy with a text of no known shape is not taken", async () => {
    const odd = {
      version: 2,
      hosts: [],
      rules: [],
      texts: [{ hosts: [1] }],
      login: { passkeys: false },
    };
    await signer.tell(links[1], odd as never);
    assert.match(await curl(host, path), /^version: STSv1/);
  });
});
