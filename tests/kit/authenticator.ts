/**
 * A software authenticator with its browser (WebAuthn Level 3 §6): ES256, no attestation. It does
 * as it is told, also where an honest one would not.
 */

import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

export interface PasskeyBehaviour {
  readonly origin?: string;
  readonly rpId?: string;
  readonly challenge?: string;
  readonly type?: string;
  /** Whether the person was verified; present they always are. */
  readonly verified?: boolean;
  readonly userHandle?: string;
  /** Octet of the signature that is flipped. */
  readonly spoil?: number;
}

interface Credential {
  readonly id: string;
  readonly rpId: string;
  readonly userHandle: string;
  readonly privateKey: KeyObject;
  counter: number;
}

export class SoftAuthenticator {
  readonly #origin: string;
  readonly credentials: Credential[] = [];
  /** Synced passkeys do not count (§6.1.1). */
  counts = true;

  /** @param origin of the page that the browser shows */
  constructor(origin: string) {
    this.#origin = origin;
  }

  /** @param options JSON text for `navigator.credentials.create` @returns the answer as JSON text */
  create(options: string, behaviour: PasskeyBehaviour = {}): string {
    const given = JSON.parse(options) as {
      challenge: string;
      rp: { id: string };
      user: { id: string };
    };
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const rpId = behaviour.rpId ?? given.rp.id;
    const octets = randomBytes(16);
    const id = octets.toString("base64url");
    this.credentials.push({ id, rpId, userHandle: given.user.id, privateKey, counter: 0 });
    const jwk = publicKey.export({ format: "jwk" });
    const coseKey = cborMap([
      [1, 2],
      [3, -7],
      [-1, 1],
      [-2, Buffer.from(jwk.x ?? "", "base64url")],
      [-3, Buffer.from(jwk.y ?? "", "base64url")],
    ]);
    const length = Buffer.from([0, octets.length]);
    const attested = Buffer.concat([Buffer.alloc(16), length, octets, coseKey]);
    const authData = authenticatorData(rpId, { ...behaviour, attested: true }, 0, attested);
    const attestationObject = cborMap([
      ["fmt", "none"],
      ["attStmt", new Map()],
      ["authData", authData],
    ]);
    return credentialJson(id, {
      clientDataJSON: this.#clientData("webauthn.create", given.challenge, behaviour),
      attestationObject: attestationObject.toString("base64url"),
      transports: ["internal"],
    });
  }

  /** @param options JSON text for `navigator.credentials.get` */
  get(options: string, behaviour: PasskeyBehaviour = {}): string {
    const given = JSON.parse(options) as {
      challenge: string;
      rpId: string;
      allowCredentials?: { id: string }[];
    };
    const allowed = given.allowCredentials?.map(({ id }) => id);
    const one = this.credentials.find(
      ({ id, rpId }) => rpId === given.rpId && (allowed === undefined || allowed.includes(id)),
    );
    if (one === undefined) throw new Error("no passkey for that");
    if (this.counts) one.counter += 1;
    const rpId = behaviour.rpId ?? given.rpId;
    const authData = authenticatorData(rpId, behaviour, one.counter, Buffer.alloc(0));
    const clientDataJSON = this.#clientData("webauthn.get", given.challenge, behaviour);
    const hash = createHash("sha256").update(Buffer.from(clientDataJSON, "base64url")).digest();
    const signature = sign("sha256", Buffer.concat([authData, hash]), one.privateKey);
    if (behaviour.spoil !== undefined) {
      signature[behaviour.spoil] = (signature[behaviour.spoil] ?? 0) ^ 1;
    }
    return credentialJson(one.id, {
      clientDataJSON,
      authenticatorData: authData.toString("base64url"),
      signature: signature.toString("base64url"),
      userHandle: behaviour.userHandle ?? one.userHandle,
    });
  }

  #clientData(type: string, challenge: string, behaviour: PasskeyBehaviour): string {
    const data = {
      type: behaviour.type ?? type,
      challenge: behaviour.challenge ?? challenge,
      origin: behaviour.origin ?? this.#origin,
      crossOrigin: false,
    };
    return Buffer.from(JSON.stringify(data)).toString("base64url");
  }
}

function credentialJson(id: string, response: object): string {
  const common = { id, rawId: id, type: "public-key", clientExtensionResults: {} };
  return JSON.stringify({ ...common, response });
}

/** WebAuthn §6.1: hash of the relying party's id, flags, counter, and what was attested. */
function authenticatorData(
  rpId: string,
  { verified = true, attested = false }: PasskeyBehaviour & { readonly attested?: boolean },
  counter: number,
  more: Buffer,
): Buffer {
  const flags = 0x01 | (verified ? 0x04 : 0) | (attested ? 0x40 : 0);
  const fixed = Buffer.alloc(5);
  fixed[0] = flags;
  fixed.writeUInt32BE(counter, 1);
  return Buffer.concat([createHash("sha256").update(rpId).digest(), fixed, more]);
}

type Cbor = number | string | Buffer | ReadonlyMap<unknown, unknown>;

/** RFC 8949 §3, as far as attestation needs it. */
function cborMap(entries: readonly (readonly [number | string, Cbor])[]): Buffer {
  const parts = entries.flatMap(([key, value]) => [cbor(key), cbor(value)]);
  return Buffer.concat([cborHead(5, entries.length), ...parts]);
}

function cbor(value: Cbor): Buffer {
  if (typeof value === "number") return value < 0 ? cborHead(1, -1 - value) : cborHead(0, value);
  if (typeof value === "string") {
    return Buffer.concat([cborHead(3, Buffer.byteLength(value)), Buffer.from(value)]);
  }
  if (Buffer.isBuffer(value)) return Buffer.concat([cborHead(2, value.length), value]);
  return cborHead(5, 0);
}

function cborHead(major: number, count: number): Buffer {
  const kind = major << 5;
  if (count < 24) return Buffer.from([kind | count]);
  if (count < 256) return Buffer.from([kind | 24, count]);
  return Buffer.from([kind | 25, count >> 8, count & 255]);
}
