import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemRandom } from "#base/random";
import {
  decodeBase64,
  encodeBase64,
  judgeScram,
  makeScramVerifier,
  offerScram,
  readPlain,
  readScramFirst,
  type ScramOffer,
  type ScramVerifier,
  scramMechanism,
  scramNonce,
} from "#formats/sasl";
import { type ClientLogin, type ClientOutcome, deliver } from "#transport/smtp-client";
import { selfSigned } from "../../../tests/kit/certificate.ts";
import { codes, common } from "../../../tests/kit/client.ts";
import { SmtpSink } from "../../../tests/kit/smtp-sink.ts";
import { streamPair } from "../../../tests/kit/stream-pair.ts";

const certificate = selfSigned("sink.test");
const proof = { kind: "authority", names: ["sink.test"], authorities: [certificate.cert] } as const;
const proven = { level: "required", proof } as const;
const unproven = { level: "opportunistic" } as const;

type Answer = (line: string) => string | undefined;

interface Run {
  readonly login: ClientLogin;
  readonly offers: string;
  readonly answer: Answer;
  readonly tls?: typeof proven | typeof unproven | { readonly level: "none" };
}

async function run(
  options: Run,
): Promise<{ sink: SmtpSink; outcome: ClientOutcome; text: string }> {
  const { login, offers, answer, tls = proven } = options;
  const sink = new SmtpSink({ extensions: [`AUTH ${offers}`], tls: certificate, answer });
  const [ours, theirs] = streamPair();
  sink.serve(theirs);
  const outcome = await deliver({ ...common({ tls }), login, stream: ours });
  const text = outcome.opened ? "" : String(outcome.failure.reply.text);
  return { sink, outcome, text };
}

/** What a server may do wrong. */
interface Flaw {
  readonly first?: (message: string) => string;
  readonly final?: (message: string) => string;
  /** Says that all is well without the last step. */
  readonly hasty?: boolean;
}

/** The server's side of SCRAM as a script for the sink. */
function scramServer(verifier: ScramVerifier, flaw: Flaw = {}): Answer {
  let offer: ScramOffer | undefined;
  let isDone = false;
  return (line) => {
    const [verb, name = "", initial = ""] = line.split(" ");
    if (verb === "AUTH") {
      const mechanism = scramMechanism(name);
      const first = readScramFirst(decodeBase64(initial) ?? "");
      assert.ok(mechanism && first.ok);
      const terms = { mechanism, plusOffered: false, nonce: scramNonce(systemRandom) };
      const offered = offerScram(first.value, verifier, terms);
      if (!offered.ok) return "535 5.7.8 binding";
      [offer, isDone] = [offered.value, false];
      return `334 ${encodeBase64((flaw.first ?? String)(offer.message))}`;
    }
    if (offer === undefined) return undefined;
    const current = offer;
    if (line === "*") {
      offer = undefined;
      return "501 5.7.0 cancelled";
    }
    if (isDone) {
      offer = undefined;
      return "235 2.7.0 welcome";
    }
    const verdict = judgeScram(current, decodeBase64(line) ?? "");
    if (!verdict.ok || flaw.hasty) offer = undefined;
    if (flaw.hasty) return "235 2.7.0 welcome";
    if (!verdict.ok) return "535 5.7.8 wrong";
    isDone = true;
    return `334 ${encodeBase64((flaw.final ?? String)(verdict.value.message))}`;
  };
}

async function verifierOf(hash: "sha1" | "sha256" | "sha512", ...secrets: string[]) {
  const made = await makeScramVerifier(hash, secrets, Buffer.from("salty"), 4096);
  assert.ok(made.ok);
  return made.value;
}

const scram = (...secrets: string[]): ClientLogin => ({ mechanism: "scram", user: "us", secrets });
const authLines = (sink: SmtpSink): string[] =>
  sink.lines.filter((line) => line.startsWith("AUTH")).map((line) => line.slice(0, 24));

describe("login by SCRAM", () => {
  test("CAP-44 logs in after TLS and before the first message", async () => {
    const answer = scramServer(await verifierOf("sha256", "secret"));
    const { sink, outcome } = await run({
      login: scram("secret"),
      offers: "PLAIN SCRAM-SHA-256",
      answer,
    });
    assert.deepEqual(codes(outcome), ["end 250 2.0.0"]);
    assert.equal(sink.lines.filter((line) => line.startsWith("EHLO")).length, 2);
    assert.match(sink.lines[3] ?? "", /^AUTH SCRAM-SHA-256 /);
    assert.equal(
      sink.lines.some((line) => line.includes("secret")),
      false,
    );
  });

  test("CAP-44 takes the strongest that both know, and SHA-1 only from a proven server", async () => {
    for (const [offers, tls, expected] of [
      ["SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-512", proven, "SCRAM-SHA-512"],
      ["SCRAM-SHA-1 scram-sha-256", proven, "SCRAM-SHA-256"],
      ["LOGIN SCRAM-SHA-1", proven, "SCRAM-SHA-1"],
      ["SCRAM-SHA-1", unproven, undefined],
      ["SCRAM-SHA-256", unproven, "SCRAM-SHA-256"],
      ["PLAIN LOGIN", proven, undefined],
      ["", proven, undefined],
    ] as const) {
      const mechanism = scramMechanism(expected ?? "SCRAM-SHA-1");
      const answer = scramServer(await verifierOf(mechanism?.hash ?? "sha1", "s"));
      const { sink, outcome, text } = await run({ login: scram("s"), offers, tls, answer });
      if (expected !== undefined) assert.deepEqual(codes(outcome), ["end 250 2.0.0"], offers);
      else {
        assert.deepEqual(codes(outcome), ["login 4.7.0"], offers);
        assert.match(text, /no way to log in that the connector allows/);
      }
      assert.equal(sink.lines.find((line) => line.startsWith("AUTH"))?.split(" ")[1], expected);
      assert.equal(sink.mails.length, expected === undefined ? 0 : 1);
    }
  });

  test("CAP-45 tries each secret anew after 535, and remembers nothing", async () => {
    for (const order of [
      ["old", "new"],
      ["new", "old"],
    ]) {
      const answer = scramServer(await verifierOf("sha256", "new"));
      const { sink, outcome } = await run({
        login: scram(...order),
        offers: "SCRAM-SHA-256",
        answer,
      });
      assert.deepEqual(codes(outcome), ["end 250 2.0.0"]);
      assert.equal(authLines(sink).length, order.indexOf("new") + 1);
    }
    const answer = scramServer(await verifierOf("sha256", "third"));
    const none = await run({ login: scram("old", "new"), offers: "SCRAM-SHA-256", answer });
    assert.deepEqual(codes(none.outcome), ["login 5.7.8"]);
    assert.equal(none.text, "wrong");
    assert.equal(none.sink.mails.length, 0);
    const empty = await run({ login: scram(), offers: "SCRAM-SHA-256", answer });
    assert.deepEqual(codes(empty.outcome), ["login 4.7.0"]);
  });

  test("CAP-44 believes no server that does not know the secret", async () => {
    const zeros = `v=${Buffer.alloc(32).toString("base64")}`;
    const flaws: readonly Flaw[] = [
      { final: () => zeros },
      { final: () => "v=" },
      { final: () => "e=other-error" },
      { final: () => "" },
      { hasty: true },
      { first: (message) => message.replace(/i=\d+/, "i=1") },
      { first: (message) => message.replace(/i=\d+/, "i=999999999") },
      { first: (message) => message.replace(/r=(.)/, (_, one) => (one === "x" ? "r=y" : "r=x")) },
      { first: () => "nonsense" },
    ];
    for (const flaw of flaws) {
      const answer = scramServer(await verifierOf("sha256", "s"), flaw);
      const { sink, outcome, text } = await run({
        login: scram("s", "t"),
        offers: "SCRAM-SHA-256",
        answer,
      });
      assert.deepEqual(codes(outcome), ["login 4.7.0"]);
      assert.match(text, /did not (?:keep|prove)/);
      assert.equal(sink.mails.length, 0);
      assert.equal(authLines(sink).length, 1, "no other secret is offered to it");
    }
  });

  test("CAP-44 is bound to the connection where the server offers it (RFC 9266)", async () => {
    let first = "";
    const answer: Answer = (line) => {
      if (!line.startsWith("AUTH")) return undefined;
      first = decodeBase64(line.split(" ")[2] ?? "") ?? "";
      return "454 4.7.0 seen enough";
    };
    for (const [offers, flag] of [
      ["SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "p=tls-exporter,,"],
      ["SCRAM-SHA-512 SCRAM-SHA-256-PLUS", "p=tls-exporter,,"],
      ["SCRAM-SHA-256", "y,,"],
      ["SCRAM-SHA-256 SCRAM-SHA-1-PLUS", "n,,"],
    ] as const) {
      await run({ login: scram("s"), offers, answer });
      assert.ok(first.startsWith(flag), `${offers}: ${first}`);
    }
  });
});

describe("login by PLAIN and OAUTHBEARER", () => {
  const plain: ClientLogin = {
    mechanism: "plain",
    user: "us",
    secrets: ["old secret", "new secret"],
  };
  const oauth: ClientLogin = { mechanism: "oauthbearer", user: "us@x.test", secrets: ["tok.en"] };
  const offers = "PLAIN OAUTHBEARER";

  test("CAP-45 PLAIN tries the secrets in turn", async () => {
    const answer: Answer = (line) => {
      if (!line.startsWith("AUTH PLAIN ")) return undefined;
      const read = readPlain(decodeBase64(line.slice(11)) ?? "");
      return read.ok && read.value.secret === "new secret" ? "235 2.7.0 ok" : "535 5.7.8 no";
    };
    const { sink, outcome } = await run({ login: plain, offers, answer });
    assert.deepEqual(codes(outcome), ["end 250 2.0.0"]);
    assert.equal(authLines(sink).length, 2);
  });

  test("CAP-44 no secret leaves without TLS, or to a server that has not proved who it is", async () => {
    const answer: Answer = (line) => (line.startsWith("AUTH") ? "235 2.7.0 ok" : undefined);
    for (const login of [plain, oauth]) {
      for (const tls of [unproven, { level: "none" }] as const) {
        const { sink, outcome } = await run({ login, offers, answer, tls });
        assert.deepEqual(codes(outcome), ["login 4.7.0"]);
        assert.deepEqual(authLines(sink), []);
        assert.equal(sink.mails.length, 0);
      }
    }
    const clear = await run({
      login: scram("s"),
      offers: "SCRAM-SHA-256",
      answer,
      tls: { level: "none" },
    });
    assert.deepEqual(codes(clear.outcome), ["login 4.7.0"]);
    assert.deepEqual(authLines(clear.sink), []);
  });

  test("CAP-44 OAUTHBEARER answers the server's error as it must, and tells it (RFC 7628 §3.2.3)", async () => {
    const answer: Answer = (line) => {
      if (line.startsWith("AUTH")) return `334 ${encodeBase64('{"status":"invalid_token"}')}`;
      return line === "AQ==" ? "535 5.7.8 no such token" : undefined;
    };
    const { outcome, text } = await run({ login: oauth, offers, answer });
    assert.deepEqual(codes(outcome), ["login 5.7.8"]);
    assert.equal(text, "no such token (invalid_token)");
    const good: Answer = (line) => (line.startsWith("AUTH") ? "235 2.7.0 ok" : undefined);
    assert.deepEqual(codes((await run({ login: oauth, offers, answer: good })).outcome), [
      "end 250 2.0.0",
    ]);
  });

  test("CAP-44 a long response waits until the server asks (RFC 4954 §4)", async () => {
    const token = "t".repeat(1000);
    const answer: Answer = (line) => {
      if (line.startsWith("AUTH")) return "334 ";
      if (line.length < 600) return undefined;
      return decodeBase64(line)?.includes(`Bearer ${token}\x01`) ? "235 ok" : "535 no";
    };
    const { sink, outcome } = await run({ login: { ...oauth, secrets: [token] }, offers, answer });
    assert.deepEqual(codes(outcome), ["end 250 2.0.0"]);
    assert.deepEqual(authLines(sink), ["AUTH OAUTHBEARER"]);
  });

  for (const [reply, expected] of [
    ["454 4.7.0 later", "login 4.7.0"],
    ["432 4.7.12 change it first", "login 4.7.12"],
    ["534 5.7.9 too weak", "login 5.7.9"],
    ["504 5.5.4 unknown", "login 5.5.4"],
    ["421 4.3.2 bye", "login 4.3.2"],
    ["250 2.0.0 what?", "login 4.5.0"],
    ["334 ", "login 4.7.0"],
    ["334 ?", "login 4.7.0"],
    ["close", "login 4.4.2"],
  ] as const) {
    test(`CAP-44 ${reply.trim()} is about the server: no other secret is tried`, async () => {
      const answer: Answer = (line) => (line.startsWith("AUTH") ? reply : undefined);
      const { sink, outcome } = await run({ login: plain, offers, answer });
      assert.deepEqual(codes(outcome), [expected]);
      assert.equal(authLines(sink).length, 1);
      assert.equal(sink.mails.length, 0);
    });
  }

  test("CAP-44 what a server repeats of a secret is not told", async () => {
    const words = (line: string): string[] => [
      `535 5.7.8 cannot do ${line}`,
      `535 5.7.8 you said ${line.toLowerCase().slice(11, 30)}`,
      `535 5.7.8 ${decodeBase64(line.slice(11))?.replaceAll("\0", " ")} is wrong`,
      `535-5.7.8 first\r\n535 5.7.8 ${line.slice(14)}`,
    ];
    for (const [at] of words("").entries()) {
      const answer: Answer = (line) => (line.startsWith("AUTH") ? words(line)[at] : undefined);
      const { outcome, text } = await run({
        login: { ...plain, secrets: ["hunter2hunter2"] },
        offers,
        answer,
      });
      assert.deepEqual(codes(outcome), ["login 5.7.8"]);
      assert.match(text, /\*\*\*/);
      assert.doesNotMatch(text, /hunter|aHVudGVy|ahvudgvy/i);
    }
  });
});
