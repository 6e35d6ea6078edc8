/** A PKCS#11 library in this process, called through node:ffi (PKCS #11 v2.40). */

import { Buffer } from "node:buffer";
import { Misconfigured } from "#base/errors";

const functions = {
  C_Initialize: { arguments: ["pointer"], return: "u64" },
  C_Finalize: { arguments: ["pointer"], return: "u64" },
  C_GetSlotList: { arguments: ["u8", "buffer", "buffer"], return: "u64" },
  C_GetTokenInfo: { arguments: ["u64", "buffer"], return: "u64" },
  C_OpenSession: { arguments: ["u64", "u64", "pointer", "pointer", "buffer"], return: "u64" },
  C_Login: { arguments: ["u64", "u64", "buffer", "u64"], return: "u64" },
  C_FindObjectsInit: { arguments: ["u64", "buffer", "u64"], return: "u64" },
  C_FindObjects: { arguments: ["u64", "buffer", "u64", "buffer"], return: "u64" },
  C_FindObjectsFinal: { arguments: ["u64"], return: "u64" },
  C_GetAttributeValue: { arguments: ["u64", "u64", "buffer", "u64"], return: "u64" },
  C_EncryptInit: { arguments: ["u64", "buffer", "u64"], return: "u64" },
  C_Encrypt: { arguments: ["u64", "buffer", "u64", "buffer", "buffer"], return: "u64" },
  C_DecryptInit: { arguments: ["u64", "buffer", "u64"], return: "u64" },
  C_Decrypt: { arguments: ["u64", "buffer", "u64", "buffer", "buffer"], return: "u64" },
  C_GenerateKey: { arguments: ["u64", "buffer", "buffer", "u64", "buffer"], return: "u64" },
  C_DestroyObject: { arguments: ["u64", "u64"], return: "u64" },
} as const;

type FunctionName = keyof typeof functions;
type Native = Readonly<Record<FunctionName, (...args: readonly Argument[]) => bigint>>;
type Argument = bigint | number | Buffer;

/** A call that the library or the token refused. */
export class TokenError extends Error {
  /** CK_RV (PKCS #11 v2.40 §5.1). */
  readonly code: number;

  constructor(name: string, code: number) {
    super(`${name} failed: ${nameOf(code)}`);
    this.code = code;
  }
}

export interface Pkcs11 {
  /** @throws TokenError unless the function returns CKR_OK */
  call(name: FunctionName, ...args: readonly Argument[]): void;
  /** Where the octets lie; they must be kept alive as long as the library may look. */
  pointerTo(octets: Buffer): bigint;
}

/** One instance a file: many libraries do not survive being unloaded. */
const loaded = new Map<string, Pkcs11>();

/** @throws Misconfigured when there is no such library, or it is none of PKCS#11 */
export async function loadPkcs11(path: string): Promise<Pkcs11> {
  const before = loaded.get(path);
  if (before !== undefined) return before;
  try {
    const { dlopen, getRawPointer, suffix } = await import("node:ffi");
    // CK_ULONG has 32 bits there, and structures are packed.
    if (suffix === "dll") throw new Error("PKCS#11 tokens are not supported on Windows");
    if (suffix === "so") openApart(path, dlopen);
    const native = dlopen(path, functions).functions as unknown as Native;
    const call: Pkcs11["call"] = (name, ...args) => {
      const code = Number(native[name](...args));
      if (code !== 0) throw new TokenError(name, code);
    };
    const library = { call, pointerTo: getRawPointer };
    loaded.set(path, library);
    return library;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Misconfigured(`the PKCS#11 library ${path} cannot be loaded: ${why}`, {
      cause: error,
    });
  }
}

const bindNow = 0x2;
const bindDeep = 0x8;

/**
 * Node offers the symbols of its own OpenSSL to whatever it loads. A library that brings another
 * OpenSSL must get that one, so it is opened first with RTLD_DEEPBIND; opening it again gives the same.
 */
function openApart(path: string, dlopen: typeof import("node:ffi").dlopen): void {
  const { functions: system } = dlopen(null, {
    dlopen: { arguments: ["string", "i32"], return: "pointer" },
  });
  system.dlopen(path, bindNow | bindDeep);
}

/** CK_ULONG of x64 and arm64: 64 bits, little-endian. */
export function ulong(...values: readonly (number | bigint)[]): Buffer {
  const octets = Buffer.alloc(8 * values.length);
  values.forEach((value, at) => octets.writeBigUInt64LE(BigInt(value), 8 * at));
  return octets;
}

/** CK_ATTRIBUTE: type, pointer, length of each. */
export function attributes(
  library: Pkcs11,
  list: readonly (readonly [type: number, value: Buffer])[],
): Buffer {
  return ulong(
    ...list.flatMap(([type, value]) => [type, library.pointerTo(value), value.length] as const),
  );
}

/** CKR_ values that an administrator meets; others are shown as numbers. */
const names: Readonly<Record<number, string>> = {
  0x05: "CKR_GENERAL_ERROR",
  0x06: "CKR_FUNCTION_FAILED",
  0x30: "CKR_DEVICE_ERROR",
  0x31: "CKR_DEVICE_MEMORY",
  0x32: "CKR_DEVICE_REMOVED",
  0x40: "CKR_ENCRYPTED_DATA_INVALID",
  0x41: "CKR_ENCRYPTED_DATA_LEN_RANGE",
  0x54: "CKR_FUNCTION_NOT_SUPPORTED",
  0x63: "CKR_KEY_TYPE_INCONSISTENT",
  0x68: "CKR_KEY_FUNCTION_NOT_PERMITTED",
  0x70: "CKR_MECHANISM_INVALID",
  0x71: "CKR_MECHANISM_PARAM_INVALID",
  0xa0: "CKR_PIN_INCORRECT",
  0xa2: "CKR_PIN_LEN_RANGE",
  0xa3: "CKR_PIN_EXPIRED",
  0xa4: "CKR_PIN_LOCKED",
  0xb0: "CKR_SESSION_CLOSED",
  0xb3: "CKR_SESSION_HANDLE_INVALID",
  0xe0: "CKR_TOKEN_NOT_PRESENT",
  0xe1: "CKR_TOKEN_NOT_RECOGNIZED",
  0xe2: "CKR_TOKEN_WRITE_PROTECTED",
  0x101: "CKR_USER_NOT_LOGGED_IN",
  0x102: "CKR_USER_PIN_NOT_INITIALIZED",
  0x190: "CKR_CRYPTOKI_NOT_INITIALIZED",
  0x191: "CKR_CRYPTOKI_ALREADY_INITIALIZED",
};

function nameOf(code: number): string {
  return names[code] ?? `CK_RV 0x${code.toString(16)}`;
}
