/** A session with a PKCS#11 token, logged in: AES-256-GCM inside the token, keys found by label. */

import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { Misconfigured, Unavailable } from "#base/errors";
import { attributes, loadPkcs11, type Pkcs11, TokenError, ulong } from "./pkcs11.ts";
import { keyBytes, nonceBytes, tagBytes } from "./source.ts";

/** Numbers of PKCS #11 v2.40, appendix B. */
const cka = {
  class: 0x000,
  token: 0x001,
  private: 0x002,
  label: 0x003,
  keyType: 0x100,
  sensitive: 0x103,
  encrypt: 0x104,
  decrypt: 0x105,
  valueLen: 0x161,
  extractable: 0x162,
} as const;
const secretKeyClass = 4;
const aesKeyType = 0x1f;
const aesKeyGen = 0x1080;
const aesGcm = 0x1087;
const userType = 1;
const readWriteSession = 6;
/** CKR_PIN_INCORRECT, INVALID, LEN_RANGE, EXPIRED, LOCKED, CKR_USER_PIN_NOT_INITIALIZED. */
const pinFaults: readonly number[] = [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0x102];

const yes = Buffer.of(1);
const no = Buffer.of(0);

/** More than any machine has. */
const maxSlots = 256;
const labelBytes = 32;
const tokenInfoBytes = 208;

export interface TokenPlace {
  /** Path of the library. */
  readonly module: string;
  readonly label: string;
}

export interface Token {
  /** The AES keys that lie on the token. */
  keys(): readonly { readonly label: string; readonly handle: bigint }[];
  /** Nonce, ciphertext, tag. @throws TokenError */
  encrypt(handle: bigint, plain: Buffer, about: Buffer): Buffer;
  /** @throws TokenError, for damage too */
  decrypt(handle: bigint, sealed: Buffer, about: Buffer): Buffer;
  /** An AES-256 key that cannot leave the token. @throws TokenError */
  generate(label: string): void;
  /** @throws TokenError */
  destroy(handle: bigint): void;
  close(): void;
}

/**
 * @param pin zeroed
 * @throws Misconfigured when the library is none or the PIN is wrong, Unavailable when the token is
 *   not there or does not answer
 */
export async function openToken(place: TokenPlace, pin: Buffer): Promise<Token> {
  let close = (): void => {};
  try {
    const library = await loadPkcs11(place.module);
    library.call("C_Initialize", 0n);
    close = () => finalize(library);
    const slot = findSlot(library, place);
    const handle = ulong(0);
    library.call("C_OpenSession", slot, BigInt(readWriteSession), 0n, 0n, handle);
    const session = handle.readBigUInt64LE();
    login(library, session, { place, pin });
    return tokenOn(library, session, close);
  } catch (error) {
    close();
    throw unanswered(place, error);
  } finally {
    pin.fill(0);
  }
}

function finalize(library: Pkcs11): void {
  try {
    library.call("C_Finalize", 0n);
  } catch {} // it is gone already
}

function unanswered({ module, label }: TokenPlace, error: unknown): unknown {
  if (!(error instanceof TokenError)) return error;
  return new Unavailable(`the token "${label}" of ${module} does not answer: ${error.message}`);
}

function findSlot(library: Pkcs11, { module, label }: TokenPlace): bigint {
  const slots = Buffer.alloc(8 * maxSlots);
  const count = ulong(maxSlots);
  library.call("C_GetSlotList", 1, slots, count);
  const found: bigint[] = [];
  for (let at = 0; at < Number(count.readBigUInt64LE()); at += 1) {
    const slot = slots.readBigUInt64LE(8 * at);
    const info = Buffer.alloc(tokenInfoBytes);
    library.call("C_GetTokenInfo", slot, info);
    if (info.toString("utf8", 0, labelBytes).trimEnd() === label) found.push(slot);
  }
  const [slot, another] = found;
  if (slot === undefined) throw new Unavailable(`the token "${label}" of ${module} is not there`);
  if (another === undefined) return slot;
  throw new Misconfigured(`${module} has several tokens labelled "${label}"`);
}

function login(
  library: Pkcs11,
  session: bigint,
  { place, pin }: { readonly place: TokenPlace; readonly pin: Buffer },
): void {
  try {
    library.call("C_Login", session, BigInt(userType), pin, BigInt(pin.length));
  } catch (error) {
    if (!(error instanceof TokenError) || !pinFaults.includes(error.code)) throw error;
    throw new Misconfigured(
      `the token "${place.label}" refuses the PIN (${error.message}); it is not tried again, because tokens lock`,
    );
  }
}

function tokenOn(library: Pkcs11, session: bigint, close: () => void): Token {
  const crypt = (
    does: "Encrypt" | "Decrypt",
    handle: bigint,
    { nonce, input, about }: Readonly<Record<"nonce" | "input" | "about", Buffer>>,
  ): Buffer => {
    const { pointerTo } = library;
    // CK_GCM_PARAMS (v2.40 §2.12.3): nonce, its octets and bits, what is authenticated, bits of the tag.
    const parameters = ulong(
      ...[pointerTo(nonce), nonce.length, nonce.length * 8],
      ...[pointerTo(about), about.length, tagBytes * 8],
    );
    const mechanism = ulong(aesGcm, pointerTo(parameters), parameters.length);
    const output = Buffer.alloc(256);
    const size = ulong(output.length);
    library.call(`C_${does}Init`, session, mechanism, handle);
    library.call(`C_${does}`, session, input, BigInt(input.length), output, size);
    const result = Buffer.from(output.subarray(0, Number(size.readBigUInt64LE())));
    // Zeroed here, they were alive all the time that the library had their addresses.
    for (const octets of [output, parameters, mechanism, about]) octets.fill(0);
    return result;
  };
  return {
    keys: () => keysOn(library, session),
    encrypt(handle, plain, about) {
      const nonce = randomBytes(nonceBytes);
      const sealed = crypt("Encrypt", handle, { nonce, input: plain, about: Buffer.from(about) });
      // Read only now: some tokens put a nonce of their own there.
      return Buffer.concat([nonce, sealed]);
    },
    decrypt(handle, sealed, about) {
      const nonce = Buffer.from(sealed.subarray(0, nonceBytes));
      const input = sealed.subarray(nonceBytes);
      return crypt("Decrypt", handle, { nonce, input, about: Buffer.from(about) });
    },
    generate: (label) => generate(library, session, label),
    destroy: (handle) => library.call("C_DestroyObject", session, handle),
    close,
  };
}

function keysOn(library: Pkcs11, session: bigint): ReturnType<Token["keys"]> {
  const wanted: [number, Buffer][] = [
    [cka.class, ulong(secretKeyClass)],
    [cka.keyType, ulong(aesKeyType)],
    [cka.token, yes],
  ];
  library.call("C_FindObjectsInit", session, attributes(library, wanted), BigInt(wanted.length));
  const handles: bigint[] = [];
  const batch = Buffer.alloc(8 * 64);
  const count = ulong(0);
  do {
    library.call("C_FindObjects", session, batch, 64n, count);
    for (let at = 0; at < Number(count.readBigUInt64LE()); at += 1) {
      handles.push(batch.readBigUInt64LE(8 * at));
    }
  } while (count.readBigUInt64LE() > 0n);
  library.call("C_FindObjectsFinal", session);
  return handles.map((handle) => ({ handle, label: labelOf(library, session, handle) }));
}

/** Empty when it has none, or one that is none of ours for its length. */
function labelOf(library: Pkcs11, session: bigint, handle: bigint): string {
  const value = Buffer.alloc(256);
  const asked = attributes(library, [[cka.label, value]]);
  try {
    library.call("C_GetAttributeValue", session, handle, asked, 1n);
  } catch {
    return "";
  }
  return value.toString("utf8", 0, Number(asked.readBigUInt64LE(16)));
}

function generate(library: Pkcs11, session: bigint, label: string): void {
  const wish: [number, Buffer][] = [
    [cka.label, Buffer.from(label)],
    [cka.valueLen, ulong(keyBytes)],
    [cka.token, yes],
    [cka.private, yes],
    [cka.sensitive, yes],
    [cka.extractable, no],
    [cka.encrypt, yes],
    [cka.decrypt, yes],
  ];
  const template = attributes(library, wish);
  const mechanism = ulong(aesKeyGen, 0, 0);
  library.call("C_GenerateKey", session, mechanism, template, BigInt(wish.length), ulong(0));
  for (const [, value] of wish.slice(0, 2)) value.fill(0); // alive until now, as in crypt()
}
