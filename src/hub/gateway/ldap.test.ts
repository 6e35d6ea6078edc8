/** Recipients from a real OpenLDAP server, and from servers that are down, silent or talk nonsense. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type EqualityFilter, FilterParser, type OrFilter } from "ldapts";
import { systemClock } from "#base/clock";
import { Unavailable } from "#base/errors";
import { pick, seededRandom } from "#base/random";
import { hasSlapd, type Slapd, startSlapd } from "../../../tests/kit/slapd.ts";
import { gatewayWith } from "./fixture.ts";
import { ldapSource } from "./ldap.ts";
import { filterFor } from "./ldap-filter.ts";

describe("filterFor()", () => {
  test("puts every special octet into the RFC's escape (RFC 4515 §3)", () => {
    const filter = filterFor("(mail={address})", "a*(b)\\c\0@example.org");
    assert.equal(filter, "(mail=a\\2a\\28b\\29\\5cc\\00@example.org)");
    assert.equal(filterFor("(|(a={address})(b={address}))", "$&"), "(|(a=$&)(b=$&))");
  });

  test("never asks anything else, whatever the address is (20,000 addresses)", () => {
    const random = seededRandom(17);
    const letters = [
      "*",
      "(",
      ")",
      "\\",
      "\0",
      "|",
      "&",
      "!",
      "=",
      "a",
      "é",
      "😀",
      "@",
      "2a",
      "{address}",
    ];
    for (let count = 0; count < 20_000; count += 1) {
      let address = "";
      for (let left = pick(random, 12); left >= 0; left -= 1) {
        address += letters[pick(random, letters.length)];
      }
      const filter = FilterParser.parseString(
        filterFor("(|(mail={address})(proxyAddresses=smtp:{address}))", address),
      ) as OrFilter;
      const [mail, proxy, ...more] = filter.filters as EqualityFilter[];
      assert.deepEqual([mail?.attribute, mail?.value], ["mail", address]);
      assert.deepEqual([proxy?.attribute, proxy?.value], ["proxyAddresses", `smtp:${address}`]);
      assert.equal(more.length, 0);
    }
  });
});

const people = [
  { name: "Ana", mail: "ana@example.org" },
  { name: "Star", mail: "*@example.org" },
  { name: "Bo", proxyAddresses: ["Bo.Long@example.org", "bo@example.org"] },
];

describe("ldapSource() and OpenLDAP", { skip: !hasSlapd }, () => {
  let slapd: Slapd;
  let folder: string;
  const wish = (more: object): ReturnType<typeof gatewayWith> =>
    gatewayWith({
      recipients: "ldap",
      ldapUrl: `ldap://localhost:${slapd.port}`,
      ldapBase: slapd.base,
      ldapUser: slapd.user,
      ldapSecretFile: join(folder, "secret"),
      ldapCaFile: join(folder, "ca.pem"),
      ...more,
    });
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "postern-ldap-"));
    slapd = await startSlapd(people, "idletimeout 1");
    writeFileSync(join(folder, "secret"), `${slapd.password}\n`);
    writeFileSync(join(folder, "ca.pem"), slapd.authorityPem);
    writeFileSync(join(folder, "empty"), "");
  });
  after(async () => {
    await slapd[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  for (const [how, more] of [
    ["StartTLS", () => ({})],
    ["ldaps", () => ({ ldapUrl: `ldaps://localhost:${slapd.securePort}` })],
    ["the clear", () => ({ ldapPlain: true })],
  ] as const) {
    test(`finds people of OpenLDAP and of Exchange over ${how}`, async () => {
      await using source = ldapSource(wish(more()), systemClock);
      for (const [address, isThere] of [
        ["ana@example.org", true],
        ["ANA@example.org", true],
        ["bo@example.org", true],
        ["bo.long@example.org", true],
        ["nobody@example.org", false],
        ["an*@example.org", false],
        ["*@example.org", true],
        ["ana)(mail=*@example.org", false],
        ["ana+tag@example.org", false],
      ] as const) {
        assert.equal(await source.has(address), isThere, address);
      }
    });
  }

  test("takes user+tag for user where the server inside does", async () => {
    await using source = ldapSource(wish({ subAddresses: true }), systemClock);
    assert.equal(await source.has("ana+tag@example.org"), true);
    assert.equal(await source.has("nobody+tag@example.org"), false);
  });

  test("goes on after the server closed an idle connection", async () => {
    await using source = ldapSource(wish({}), systemClock);
    assert.equal(await source.has("ana@example.org"), true);
    await new Promise((resolve) => setTimeout(resolve, 2500));
    assert.equal(await source.has("ana@example.org"), true);
  });

  test("200 questions at once are answered", async () => {
    await using source = ldapSource(wish({}), systemClock);
    const asked = Array.from({ length: 200 }, (_, at) =>
      source.has(at % 2 === 0 ? "ana@example.org" : `nobody${at}@example.org`),
    );
    const answers = await Promise.all(asked);
    assert.equal(answers.filter(Boolean).length, 100);
  });

  for (const [what, more, words] of [
    ["another authority", () => ({ ldapCaFile: "" }), /certificate/i],
    ["another name", () => ({ ldapUrl: `ldaps://127.0.0.1:${slapd.securePort}` }), /IP|altnames/i],
    [
      "a wrong password",
      () => ({ ldapSecretFile: join(folder, "ca.pem") }),
      /refuses ldapUser with/,
    ],
    ["an empty password", () => ({ ldapSecretFile: join(folder, "empty") }), /is empty/],
    [
      "a base that is not there",
      () => ({ ldapBase: "dc=other,dc=test" }),
      /^LDAP: ldapBase is not/,
    ],
    ["a name that is no DN", () => ({ ldapUser: "postern@example.org" }), /ldapUser as a DN$/],
    ["no file with the password", () => ({ ldapSecretFile: "/gone" }), /^LDAP: \/gone cannot be/],
  ] as const) {
    test(`says nothing of anybody with ${what}`, async () => {
      await using source = ldapSource(wish(more()), systemClock);
      await assert.rejects(source.has("ana@example.org"), (error: Error) => {
        assert.ok(error instanceof Unavailable);
        assert.match(error.message, words);
        return true;
      });
    });
  }

  test("V1 the server is down and comes back: known again at the next question", async () => {
    await using source = ldapSource(wish({}), systemClock);
    assert.equal(await source.has("ana@example.org"), true);
    await slapd.stop();
    await assert.rejects(source.has("ana@example.org"), Unavailable);
    await slapd.start();
    assert.equal(await source.has("ana@example.org"), true);
  });
});

describe("V1 ldapSource() and a server that", () => {
  const behaviours: readonly (readonly [string, (socket: Socket) => void])[] = [
    ["never answers", () => {}],
    ["closes at once", (socket) => socket.destroy()],
    ["talks nonsense", (socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n")],
    ["announces 2 GiB", (socket) => socket.write(Buffer.from("30847fffffff0201", "hex"))],
    ["breaks its own framing", (socket) => socket.write(Buffer.from("30030201ff300302", "hex"))],
    [
      "answers one octet a second",
      (socket) => {
        const timer = setInterval(() => socket.write("0"), 1000);
        socket.once("close", () => clearInterval(timer));
      },
    ],
  ];
  for (const [what, behave] of behaviours) {
    test(`${what} is Unavailable within 15 seconds`, async () => {
      const server = createServer((socket) => {
        socket.on("error", () => {});
        socket.once("data", () => behave(socket));
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const { port } = server.address() as { port: number };
      const wishes = { recipients: "ldap", ldapUrl: `ldap://127.0.0.1:${port}`, ldapBase: "dc=x" };
      const source = ldapSource(gatewayWith(wishes), systemClock);
      const startedMs = Date.now();
      await assert.rejects(source.has("ana@example.org"), Unavailable);
      assert.ok(Date.now() - startedMs < 15_000);
      await source[Symbol.asyncDispose]();
      server.close();
    });
  }
});
