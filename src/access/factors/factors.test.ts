import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  base32,
  checkAssertion,
  checkRegistration,
  checkTotp,
  claimedBy,
  makeRecoveryCodes,
  otpauthUri,
  type PasskeyFacts,
  recoveryDigest,
  registrationOptions,
  requestOptions,
  totpCode,
  totpStep,
} from "#access/factors";
import { pick, seededRandom, systemRandom } from "#base/random";
import { type PasskeyBehaviour, SoftAuthenticator } from "../../../tests/kit/authenticator.ts";

const secret = Buffer.from("12345678901234567890");

describe("totpCode()", () => {
  // RFC 6238 appendix B with SHA-1, of which six digits are the end of eight.
  const vectors = [
    [59, "287082"],
    [1_111_111_109, "081804"],
    [1_111_111_111, "050471"],
    [1_234_567_890, "005924"],
    [2_000_000_000, "279037"],
    [20_000_000_000, "353130"],
  ] as const;
  for (const [seconds, code] of vectors) {
    test(`is ${code} at ${seconds} s (RFC 6238 appendix B)`, () => {
      assert.equal(totpCode(secret, totpStep(seconds * 1000)), code);
    });
  }

  test("is the HOTP of the step (RFC 4226 appendix D)", () => {
    const codes = "755224 287082 359152 969429 338314 254676 287922 162583 399871 520489";
    const made = Array.from({ length: 10 }, (_, step) => totpCode(secret, step));
    assert.equal(made.join(" "), codes);
  });
});

describe("checkTotp()", () => {
  const nowMs = 1_234_567_890_000;
  const step = totpStep(nowMs);

  test("takes one step more or less, and blanks between the digits", () => {
    for (const shift of [-1, 0, 1]) {
      assert.equal(checkTotp(secret, totpCode(secret, step + shift), nowMs, -1), step + shift);
    }
    for (const shift of [-2, 2, 10]) {
      assert.equal(checkTotp(secret, totpCode(secret, step + shift), nowMs, -1), undefined);
    }
    const code = totpCode(secret, step);
    assert.equal(checkTotp(secret, `${code.slice(0, 3)} ${code.slice(3)}`, nowMs, -1), step);
  });

  test("takes each step once (RFC 6238 §5.2)", () => {
    assert.equal(checkTotp(secret, totpCode(secret, step), nowMs, step), undefined);
    assert.equal(checkTotp(secret, totpCode(secret, step - 1), nowMs, step), undefined);
    assert.equal(checkTotp(secret, totpCode(secret, step + 1), nowMs, step), step + 1);
  });

  test("takes nothing else, whatever it is", () => {
    const random = seededRandom(11);
    const alphabet = "0123456789 -+eE.x\u0661\0";
    for (let round = 0; round < 20_000; round += 1) {
      const length = pick(random, 10);
      const text = Array.from({ length }, () => alphabet[pick(random, alphabet.length)]).join("");
      const found = checkTotp(secret, text, nowMs, -1);
      const digits = text.replaceAll(" ", "");
      const isCode = [-1, 0, 1].some((shift) => totpCode(secret, step + shift) === digits);
      assert.equal(found !== undefined, isCode, JSON.stringify(text));
    }
    assert.equal(checkTotp(secret, "1".repeat(1e6), nowMs, -1), undefined);
  });
});

test("base32() is RFC 4648 §10 without padding, and an app reads our URI", () => {
  const vectors = ["", "MY", "MZXQ", "MZXW6", "MZXW6YQ", "MZXW6YTB", "MZXW6YTBOI"];
  vectors.forEach((text, length) => {
    assert.equal(base32(Buffer.from("foobar".slice(0, length))), text);
  });
  const uri = new URL(otpauthUri(secret, "mail.example.org", "ana+x@example.org"));
  assert.equal(uri.host, "totp");
  assert.equal(decodeURIComponent(uri.pathname), "/mail.example.org:ana+x@example.org");
  assert.equal(uri.searchParams.get("secret"), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
});

test("makeRecoveryCodes() makes ten of 80 bits that are known again however they are typed", () => {
  const { codes, digests } = makeRecoveryCodes(systemRandom);
  assert.equal(new Set(codes).size, 10);
  for (const [index, code] of codes.entries()) {
    assert.match(code, /^[a-z2-7]{4}(-[a-z2-7]{4}){3}$/);
    assert.equal(recoveryDigest(code), digests[index]);
    assert.equal(recoveryDigest(` ${code.toUpperCase().replaceAll("-", " ")} `), digests[index]);
  }
  assert.ok(!digests.includes(recoveryDigest("")));
});

const place = { host: "mail.example.org:2443" };
const origin = "https://mail.example.org:2443";
const person = {
  handle: "0123456789abcdef0123456789abcdef",
  address: "ana@example.org",
  displayName: "Ana",
};

async function enrolled(
  behaviour: PasskeyBehaviour = {},
): Promise<{ authenticator: SoftAuthenticator; passkey: PasskeyFacts | undefined }> {
  const authenticator = new SoftAuthenticator(origin);
  const challenge = systemRandom.bytes(32);
  const options = await registrationOptions(place, challenge, person, []);
  const checked = await checkRegistration(
    place,
    challenge,
    authenticator.create(options, behaviour),
  );
  return { authenticator, passkey: checked.ok ? checked.value : undefined };
}

describe("passkeys", () => {
  test("are discoverable, verified, and of the host without its port", async () => {
    const options = JSON.parse(
      await registrationOptions(place, Buffer.alloc(32, 1), person, []),
    ) as Record<string, unknown>;
    assert.equal(options["challenge"], Buffer.alloc(32, 1).toString("base64url"));
    assert.deepEqual(options["rp"], { id: "mail.example.org", name: "mail.example.org" });
    assert.equal(
      (options["user"] as { id: string }).id,
      Buffer.from(person.handle).toString("base64url"),
    );
    assert.equal(options["attestation"], "none");
    const { passkey } = await enrolled();
    assert.equal(passkey?.rpId, "mail.example.org");
    assert.equal(passkey?.counter, 0);
  });

  const liars: readonly (readonly [string, PasskeyBehaviour])[] = [
    ["another origin", { origin: "https://mail.example.org.evil.example" }],
    ["another port", { origin: "https://mail.example.org" }],
    ["no TLS", { origin: "http://mail.example.org:2443" }],
    ["another relying party", { rpId: "example.org" }],
    ["another challenge", { challenge: Buffer.alloc(32).toString("base64url") }],
    ["another purpose", { type: "payment.get" }],
    ["a person who was not verified", { verified: false }],
  ];
  for (const [what, behaviour] of liars) {
    test(`are refused for ${what}`, async () => {
      assert.equal((await enrolled(behaviour)).passkey, undefined, "when they are made");
      const { authenticator, passkey } = await enrolled();
      assert.ok(passkey);
      const challenge = systemRandom.bytes(32);
      const credential = authenticator.get(await requestOptions(place, challenge, []), behaviour);
      const checked = await checkAssertion(place, challenge, { credential, alone: true }, passkey);
      assert.equal(checked.ok, false, "when they are used");
    });
  }

  test("answer a challenge once each, and their counter grows", async () => {
    const { authenticator, passkey } = await enrolled();
    assert.ok(passkey);
    const challenge = systemRandom.bytes(32);
    const credential = authenticator.get(await requestOptions(place, challenge, [passkey]));
    assert.deepEqual(claimedBy(credential), {
      credentialId: passkey.credentialId,
      handle: person.handle,
    });
    const first = await checkAssertion(place, challenge, { credential, alone: true }, passkey);
    assert.ok(first.ok && first.value === 1);
    const again = { ...passkey, counter: first.value };
    const copied = await checkAssertion(place, challenge, { credential, alone: true }, again);
    assert.equal(copied.ok, false, "a copy of the authenticator shows by its counter");
    const elsewhere = { host: "other.example.org" };
    const moved = await checkAssertion(elsewhere, challenge, { credential, alone: true }, passkey);
    assert.equal(moved.ok, false);
  });

  test("as a second factor need nobody verified, and no other signature will do", async () => {
    const { authenticator, passkey } = await enrolled();
    assert.ok(passkey);
    const challenge = systemRandom.bytes(32);
    const options = await requestOptions(place, challenge, [passkey]);
    const touched = authenticator.get(options, { verified: false });
    const checked = await checkAssertion(
      place,
      challenge,
      { credential: touched, alone: false },
      passkey,
    );
    assert.ok(checked.ok);
    const spoiled = authenticator.get(options, { spoil: 12 });
    const wrong = await checkAssertion(
      place,
      challenge,
      { credential: spoiled, alone: false },
      passkey,
    );
    assert.equal(wrong.ok, false);
    const other = await enrolled();
    const foreign = other.authenticator.get(await requestOptions(place, challenge, []));
    const notTheirs = await checkAssertion(
      place,
      challenge,
      { credential: foreign, alone: false },
      passkey,
    );
    assert.equal(notTheirs.ok, false);
  });

  test("refuse an attestation with certificates before anything of it is read", async () => {
    const challenge = systemRandom.bytes(32);
    const authenticator = new SoftAuthenticator(origin);
    const options = await registrationOptions(place, challenge, person, []);
    const answer = JSON.parse(authenticator.create(options)) as {
      response: { attestationObject: string };
    };
    const octets = Buffer.from(answer.response.attestationObject, "base64url");
    for (const format of ["tpm", "apple", "fido-u2f", "android-key"]) {
      const head = Buffer.from([0xa3, 0x63, ...Buffer.from("fmt"), 0x60 | format.length]);
      const forged = Buffer.concat([head, Buffer.from(format), octets.subarray(10)]);
      answer.response.attestationObject = forged.toString("base64url");
      assert.equal((await checkRegistration(place, challenge, JSON.stringify(answer))).ok, false);
    }
  });

  test("never throw for whatever a browser could not have sent (fuzz)", async () => {
    const { authenticator, passkey } = await enrolled();
    assert.ok(passkey);
    const random = seededRandom(23);
    const challenge = systemRandom.bytes(32);
    const made = authenticator.create(await registrationOptions(place, challenge, person, []));
    const used = authenticator.get(await requestOptions(place, challenge, [passkey]));
    for (let round = 0; round < 1500; round += 1) {
      const credential = mangled(round % 2 === 0 ? made : used, random);
      claimedBy(credential);
      if (round % 2 === 0) await checkRegistration(place, challenge, credential);
      else {
        const outcome = await checkAssertion(
          place,
          challenge,
          { credential, alone: true },
          passkey,
        );
        const isSame = outcome.ok && signedParts(credential) !== signedParts(used);
        assert.equal(isSame, false, credential);
      }
    }
    const deep = `{"id":"a","response":${"[".repeat(8000)}${"]".repeat(8000)}}`;
    for (const text of ["", "null", "[]", "{}", '{"id":1}', deep, "{".repeat(1e6)]) {
      assert.equal((await checkRegistration(place, challenge, text)).ok, false);
      assert.equal(
        (await checkAssertion(place, challenge, { credential: text, alone: true }, passkey)).ok,
        false,
      );
    }
  });
});

function signedParts(credential: string): string {
  const { response } = JSON.parse(credential) as { response: Record<string, unknown> };
  const { clientDataJSON, authenticatorData } = response;
  const octets = [clientDataJSON, authenticatorData].map((one) =>
    Buffer.from(String(one), "base64url").toString("hex"),
  );
  return octets.join(" ");
}

/** Text that is still likely to parse: parts of the answer changed, cut, repeated or retyped. */
function mangled(text: string, random: ReturnType<typeof seededRandom>): string {
  const value = JSON.parse(text) as { response: Record<string, unknown> } & Record<string, unknown>;
  const where = pick(random, 2) === 0 ? value : value.response;
  const key = Object.keys(where)[pick(random, Object.keys(where).length)] ?? "id";
  const before = where[key];
  const kinds = [
    () => 7,
    () => null,
    () => ["x"],
    () => ({ a: before }),
    () => String(before).slice(pick(random, 40)),
    () => `${String(before)}A`,
    () => flipped(String(before), random),
    () => flipped(String(before), random),
    () => flipped(String(before), random),
  ];
  where[key] = kinds[pick(random, kinds.length)]?.();
  if (pick(random, 20) === 0) delete where[key];
  return JSON.stringify(value);
}

function flipped(text: string, random: ReturnType<typeof seededRandom>): string {
  const octets = Buffer.from(text, "base64url");
  for (let count = 1 + pick(random, 3); count > 0 && octets.length > 0; count -= 1) {
    const at = pick(random, octets.length);
    octets[at] = (octets[at] ?? 0) ^ (1 << pick(random, 8));
  }
  return octets.toString("base64url");
}
