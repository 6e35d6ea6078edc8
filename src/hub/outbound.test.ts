import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import type { Acceptance } from "#contracts/store";
import type { Submission } from "#contracts/submission";
import { type OutboundPorts, submit } from "./outbound.ts";

const ana = "ana@example.org";
const ben = "ben@example.org";

/** What of the ports a submission to one's own domain touches. */
function house(): {
  readonly ports: OutboundPorts;
  readonly kept: Acceptance[];
  readonly written: Uint8Array[];
} {
  const kept: Acceptance[] = [];
  const written: Uint8Array[] = [];
  const none = (): void => {};
  const ports = {
    store: {
      stage: () => ({
        write: (chunk: Uint8Array) => void written.push(chunk),
        finish: async () => ({ id: "c", sizeBytes: 0 }),
        abort: none,
      }),
      accept: async (acceptance: Acceptance) => {
        kept.push(acceptance);
        return { repeated: false, entries: [] };
      },
    },
    directory: {
      maySendAs: (account: string, address: string) => address === `${account}@example.org`,
      isLocalDomain: () => true,
      resolve: () => [{ kind: "account", account: "ben" }],
    },
    keyring: { dkimKeys: async () => [] },
    clock: { nowMs: () => 0 },
    events: { submitted: none },
    measures: { accepted: none },
    names: () => ({ known: { find: none }, people: new Map([["ben", ["ben"]]]) }),
    hostname: "mail.example.org",
    queued: none,
    accepted: none,
  };
  return { ports: ports as unknown as OutboundPorts, kept, written };
}

function submission(text: string): Submission {
  return {
    id: "0".repeat(32),
    account: "ana",
    connection: {
      listener: "submission",
      clientAddress: "192.0.2.1",
      clientPort: 1,
      helo: "client.example.org",
      extended: true,
      authenticated: ana,
    },
    envelope: { reversePath: ana, recipients: [{ path: ben }] },
    octets: [Buffer.from(text)],
    receivedAtMs: 0,
  };
}

async function codeOf(text: string): Promise<number> {
  const { ports, kept } = house();
  const { code } = await submit(submission(text), ports);
  assert.equal(kept.length, code === 250 ? 1 : 0);
  return code;
}

const filler = `X-Filler: ${"a".repeat(900)}\r\n`;

describe("submit() binds the sender (catalogue A2)", () => {
  const cases: readonly (readonly [name: string, text: string, code: number])[] = [
    ["own From", `From: ${ana}\r\n\r\nx`, 250],
    ["own From and Sender", `From: Ana <${ana}>\r\nSender: ${ana}\r\n\r\nx`, 250],
    ["no header end", `From: ${ana}`, 250],
    ["another's From", `From: ${ben}\r\n\r\nx`, 550],
    ["another's Sender", `From: ${ana}\r\nSender: ${ben}\r\n\r\nx`, 550],
    ["two From fields", `From: ${ana}\r\nFrom: ${ben}\r\n\r\nx`, 550],
    ["no From", `Sender: ${ana}\r\n\r\nx`, 550],
    ["an empty From beside a Sender", `From: ;\r\nSender: ${ana}\r\n\r\nx`, 550],
    ["a group's name as From", `From: "${ben}":;\r\nSender: ${ana}\r\n\r\nx`, 550],
    ["a comment as From", `From: (${ben})\r\nSender: ${ana}\r\n\r\nx`, 550],
    ["a group with another", `From: us:${ana},${ben};\r\n\r\nx`, 550],
    ["From behind what is read", `From: ${ana}\r\n${filler.repeat(320)}From: ${ben}\r\n\r\nx`, 552],
    ["From far behind it", `From: ${ana}\r\n${filler.repeat(700)}From: ${ben}\r\n\r\nx`, 552],
    [
      "From behind one long field",
      `From: ${ana}\r\nX: a\r\n${" b\r\n".repeat(150_000)}From: ${ben}\r\n\r\nx`,
      552,
    ],
    [
      "From behind many fields",
      `From: ${ana}\r\n${"a:\r\n".repeat(20_001)}From: ${ben}\r\n\r\n`,
      552,
    ],
    ["a large body", `From: ${ana}\r\n\r\n${filler.repeat(700)}`, 250],
  ];
  for (const [name, text, code] of cases) {
    test(`${name}: ${code}`, async () => assert.equal(await codeOf(text), code));
  }
});

test("submit() leaves no word that pretends to be ours, and all else as it was", async () => {
  const { ports, written } = house();
  const forged = "Authentication-Results: mail.example.org;\r\n\tspf=pass\r\n";
  const others = "Authentication-Results: other.example; spf=pass\r\n";
  const rest = `From: ${ana}\r\n${others}\r\n${forged}`;
  assert.equal((await submit(submission(forged + rest), ports)).code, 250);
  assert.equal(Buffer.concat(written).toString(), rest);
});
