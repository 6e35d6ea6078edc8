import assert from "node:assert/strict";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import {
  answerScram,
  beginScram,
  judgeScram,
  makeScramVerifier,
  offerScram,
  readScramFirst,
  type ScramHash,
  type ScramVerifier,
  scramMechanism,
  scramNonce,
  scramSalt,
  verifyScram,
} from "#formats/sasl";

/** RFC 5802 §5 and RFC 7677 §3; the secret is "pencil". */
const published: readonly (readonly [
  ScramHash,
  first: string,
  final: string,
  last: string,
  ...string[],
])[] = [
  [
    "sha1",
    "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
    "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    "fyko+d2lbbFgONRv9qkxdawL",
    "3rfcNHYJY1ZVvWVs7j",
    "QSXCR+Q6sek8bf92",
  ],
  [
    "sha256",
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    "rOprNGfwEbeRWgbNEkqO",
    "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    "W22ZaJ0SNY7soEsUEjb6gQ==",
  ],
];

const salt = Buffer.from("0123456789abcdef");
const pepper = Buffer.alloc(32, 7);
const exporter = Buffer.alloc(32, 0xe7);

function must<Value>(outcome: { ok: true; value: Value } | { ok: false; fault: string }): Value {
  assert.ok(outcome.ok, outcome.ok ? "" : outcome.fault);
  return outcome.value;
}

async function verifierOf(...secrets: string[]): Promise<ScramVerifier> {
  return must(await makeScramVerifier("sha256", secrets, salt, 4096));
}

interface Play {
  readonly mechanism?: string;
  readonly binding?: "none" | "unoffered" | Buffer;
  readonly plusOffered?: boolean;
  readonly seen?: Buffer;
}

/** Both sides against each other; the fault of the first that refuses. */
async function play(verifier: ScramVerifier, secret: string, how: Play = {}): Promise<string> {
  const mechanism = scramMechanism(how.mechanism ?? "SCRAM-SHA-256");
  assert.ok(mechanism);
  const start = must(beginScram(mechanism.hash, "user,=ü", how.binding ?? "none", "c1"));
  const first = must(readScramFirst(start.message));
  assert.equal(first.user, "user,=ü");
  const offer = offerScram(first, verifier, {
    mechanism,
    plusOffered: how.plusOffered ?? false,
    ...(how.seen && { exporter: how.seen }),
    nonce: "s1",
  });
  if (!offer.ok) return offer.fault;
  const answer = await answerScram(start, offer.value.message, secret);
  if (!answer.ok) return answer.fault;
  const verdict = judgeScram(offer.value, answer.value.message);
  if (!verdict.ok) return verdict.fault;
  const checked = verifyScram(answer.value, verdict.value.message);
  return checked.ok ? `secret ${verdict.value.secret}` : checked.fault;
}

describe("SCRAM", () => {
  for (const [hash, first, final, last, ours = "", theirs = "", salted = ""] of published) {
    test(`CAP-44 speaks ${hash} as published, from both sides`, async () => {
      const start = must(beginScram(hash, "user", "none", ours));
      assert.equal(start.message, `n,,n=user,r=${ours}`);
      const answer = must(await answerScram(start, first, "pencil"));
      assert.equal(answer.message, final);
      assert.ok(verifyScram(answer, last).ok);

      const octets = Buffer.from(salted, "base64");
      const verifier = must(await makeScramVerifier(hash, ["pencil"], octets, 4096));
      const terms = { mechanism: { hash, plus: false }, plusOffered: false, nonce: theirs };
      const offer = must(offerScram(must(readScramFirst(start.message)), verifier, terms));
      assert.equal(offer.message, first);
      assert.equal(must(judgeScram(offer, final)).message, last);
    });
  }

  test("CAP-44 both sides agree with every hash, and the name is escaped on the way", async () => {
    for (const [name, hash] of [
      ["SCRAM-SHA-1", "sha1"],
      ["SCRAM-SHA-256", "sha256"],
      ["SCRAM-SHA-512", "sha512"],
    ] as const) {
      const verifier = must(await makeScramVerifier(hash, ["pässword"], salt, 4096));
      assert.equal(await play(verifier, "pässword", { mechanism: name }), "secret 0");
      assert.equal(await play(verifier, "password", { mechanism: name }), "bad-proof");
    }
  });

  test("CAP-45 either of two secrets is good, a third is not", async () => {
    const verifier = await verifierOf("old", "new");
    assert.equal(await play(verifier, "old"), "secret 0");
    assert.equal(await play(verifier, "new"), "secret 1");
    assert.equal(await play(verifier, "none"), "bad-proof");
    assert.equal(await play({ ...verifier, keys: [] }, "old"), "bad-proof");
  });

  test("is bound to the TLS connection (RFC 9266)", async () => {
    const verifier = await verifierOf("s");
    const plus = { mechanism: "SCRAM-SHA-256-PLUS", plusOffered: true, binding: exporter } as const;
    assert.equal(await play(verifier, "s", { ...plus, seen: exporter }), "secret 0");
    assert.equal(await play(verifier, "s", { ...plus, seen: Buffer.alloc(32) }), "bad-binding");
    assert.equal(await play(verifier, "s", plus), "bad-binding");
    assert.equal(
      await play(verifier, "s", { ...plus, mechanism: "SCRAM-SHA-256", seen: exporter }),
      "bad-binding",
    );
    assert.equal(await play(verifier, "s", { ...plus, binding: "none" }), "bad-binding");
  });

  test("shows when somebody took the offer to bind away (RFC 5802 §6)", async () => {
    const verifier = await verifierOf("s");
    assert.equal(await play(verifier, "s", { binding: "unoffered" }), "secret 0");
    assert.equal(
      await play(verifier, "s", { binding: "unoffered", plusOffered: true }),
      "bad-binding",
    );
    assert.equal(await play(verifier, "s", { plusOffered: true }), "secret 0");
  });
});

describe("answerScram()", () => {
  const start = must(beginScram("sha256", "u", "none", "abc"));
  const good = "r=abcdef,s=AAAA,i=4096";
  for (const [message, fault] of [
    ["", "syntax"],
    ["e=unknown-user", "server-error"],
    ["m=x,r=abcdef,s=AAAA,i=4096", "unknown-extension"],
    ["r=abc,s=AAAA,i=4096", "bad-nonce"],
    ["r=abx,s=AAAA,i=4096", "bad-nonce"],
    ["r=abc\u00e9,s=AAAA,i=4096", "bad-nonce"],
    ["r=abcdef,s=,i=4096", "syntax"],
    ["r=abcdef,s=A,i=4096", "syntax"],
    ["r=abcdef,i=4096,s=AAAA", "syntax"],
    ["r=abcdef,s=AAAA,i=0", "bad-iterations"],
    ["r=abcdef,s=AAAA,i=1", "bad-iterations"],
    ["r=abcdef,s=AAAA,i=4095", "bad-iterations"],
    ["r=abcdef,s=AAAA,i=1000001", "bad-iterations"],
    ["r=abcdef,s=AAAA,i=99999999999999999999", "bad-iterations"],
    ["r=abcdef,s=AAAA,i=4096.5", "bad-iterations"],
    [`r=abcdef,s=${"A".repeat(4096)},i=4096`, "syntax"],
  ] as const) {
    test(`refuses ${message.slice(0, 40)} as ${fault}`, async () => {
      const outcome = await answerScram(start, message, "s");
      assert.equal(outcome.ok ? "ok" : outcome.fault, fault);
    });
  }

  test("takes extensions that are not mandatory, and refuses secrets that nobody can compare", async () => {
    assert.ok((await answerScram(start, `${good},x=y`, "s")).ok);
    const bad = await answerScram(start, good, "\x07");
    assert.equal(!bad.ok && bad.fault, "bad-secret");
  });

  test("a server that demands the most iterations does not stop the loop", async () => {
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    await answerScram(start, "r=abcdef,s=AAAA,i=1000000", "s");
    delay.disable();
    const longestMs = delay.max / 1e6;
    console.log(`longest turn of the loop during 1,000,000 iterations: ${longestMs.toFixed(0)} ms`);
    assert.ok(longestMs < 200);
  });

  test("refuses a server that does not know the secret", async () => {
    const answer = must(await answerScram(start, good, "s"));
    for (const [message, fault] of [
      ["v=AAAA", "bad-signature"],
      [`v=${Buffer.alloc(32).toString("base64")}`, "bad-signature"],
      ["v=?", "syntax"],
      ["", "syntax"],
      ["e=invalid-proof", "server-error"],
    ] as const) {
      const outcome = verifyScram(answer, message);
      assert.equal(outcome.ok ? "ok" : outcome.fault, fault);
    }
  });
});

describe("readScramFirst()", () => {
  for (const [message, fault] of [
    ["", "syntax"],
    ["n=u,r=abc", "syntax"],
    ["x,,n=u,r=abc", "syntax"],
    ["p=,,n=u,r=abc", "syntax"],
    ["n,,m=x,n=u,r=abc", "unknown-extension"],
    ["n,,r=abc,n=u", "syntax"],
    ["n,,n=u", "syntax"],
    ["n,,n=,r=abc", "bad-name"],
    ["n,,n=a=b,r=abc", "bad-name"],
    ["n,,n=a\x07,r=abc", "bad-name"],
    ["n,,n=u,r=", "bad-nonce"],
    ["n,,n=u,r=a b", "bad-nonce"],
    ["n,a=v,n=u,r=abc", "acts-for-another"],
    [`n,,n=${"u".repeat(5000)},r=abc`, "syntax"],
  ] as const) {
    test(`refuses ${message.slice(0, 30)} as ${fault}`, () => {
      const outcome = readScramFirst(message);
      assert.equal(outcome.ok ? "ok" : outcome.fault, fault);
    });
  }

  test("lets a user act for itself", () => {
    assert.equal(must(readScramFirst("y,a=u=2Cv,n=u=2Cv,r=abc")).user, "u,v");
  });
});

describe("a name that is unknown", () => {
  test("S9 gets the same salt each time, which looks like that of a known one", () => {
    const one = scramSalt("sha256", "nobody", pepper);
    assert.deepEqual(one, scramSalt("sha256", "nobody", pepper));
    assert.equal(one.length, 16);
    assert.notDeepEqual(one, scramSalt("sha256", "other", pepper));
    assert.notDeepEqual(one, scramSalt("sha1", "nobody", pepper));
    assert.notDeepEqual(one, scramSalt("sha256", "nobody", Buffer.alloc(32)));
  });

  test("S9 one secret and two are refused in the same time", async () => {
    const mechanism = { hash: "sha256", plus: false } as const;
    const first = must(readScramFirst("n,,n=u,r=abc"));
    const terms = { mechanism, plusOffered: false, nonce: "d" };
    const final = `c=biws,r=abcd,p=${Buffer.alloc(32, 1).toString("base64")}`;
    const verifiers = [await verifierOf("a", "b"), await verifierOf("a")];
    const offers = verifiers.map((verifier) => must(offerScram(first, verifier, terms)));
    const times: number[][] = [[], []];
    for (let round = 0; round < 4000; round += 1) {
      for (const [at, offer] of offers.entries()) {
        const start = performance.now();
        judgeScram(offer, final);
        times[at]?.push(performance.now() - start);
      }
    }
    const [two = 0, one = 0] = times.map((all) => all.sort((x, y) => x - y)[2000] ?? 0);
    console.log(`median: two secrets ${two.toFixed(4)} ms, one ${one.toFixed(4)} ms`);
    assert.ok(Math.abs(two - one) < 0.02);
  });
});

test("no message of the other side makes SCRAM throw (seeded)", async () => {
  const random = seededRandom(5802);
  const verifier = await verifierOf("s");
  const mechanism = { hash: "sha256", plus: false } as const;
  const start = must(beginScram("sha256", "user", "none", "abc"));
  const offer = must(
    offerScram(must(readScramFirst(start.message)), verifier, {
      mechanism,
      plusOffered: false,
      nonce: "def",
    }),
  );
  const answer = must(await answerScram(start, offer.message, "s"));
  const damaged = (text: string): string => {
    const chars = Array.from(text);
    for (let count = pick(random, 4); count >= 0; count -= 1) {
      const odd = String.fromCodePoint(pick(random, 0x180));
      chars.splice(pick(random, chars.length), pick(random, 3), odd);
    }
    return chars.join("");
  };
  let read = 0;
  for (let round = 0; round < 20_000; round += 1) {
    read += Number(readScramFirst(damaged(start.message)).ok);
    const final = damaged(answer.message);
    assert.equal(judgeScram(offer, final).ok, final === answer.message);
    verifyScram(answer, damaged("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    if (round % 40 === 0) await answerScram(start, damaged(offer.message), "s");
  }
  assert.ok(read > 100);
});

test("nonces are printable and differ", () => {
  const random = seededRandom(1);
  const [one, other] = [scramNonce(random), scramNonce(random)];
  assert.match(one, /^[A-Za-z0-9+/]{24}$/);
  assert.notEqual(one, other);
});
