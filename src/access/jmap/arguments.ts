/** Arguments of method calls, checked before a method sees them (RFC 8620 §3.6.2). */

import { type Failure, failed } from "./failure.ts";

export type Args = Readonly<Record<string, unknown>>;

/** The kind of one argument; "?" allows null and absence. */
export type Kind =
  | "id"
  | "string?"
  | "boolean?"
  | "integer?"
  | "unsigned?"
  | "ids?"
  | "strings?"
  | "object?"
  | "map?"
  | "sort?";

export type Schema = Readonly<Record<string, Kind>>;

const idShape = /^#?[A-Za-z0-9_-]{1,255}$/;

/** @returns what is wrong, or undefined when every argument fits and none is unknown */
export function checkArguments(args: Args, schema: Schema): Failure | undefined {
  for (const name of Object.keys(args)) {
    if (!Object.hasOwn(schema, name))
      return failed("invalidArguments", `unknown: ${name.slice(0, 64)}`);
  }
  for (const [name, kind] of Object.entries(schema)) {
    const value = args[name];
    const absent = value === undefined || value === null;
    if (absent ? !kind.endsWith("?") : !fits(kind, value)) {
      return failed("invalidArguments", `${name} is not of the right type`);
    }
  }
  return undefined;
}

function fits(kind: Kind, value: unknown): boolean {
  switch (kind) {
    case "id":
      return isId(value);
    case "string?":
      return typeof value === "string";
    case "boolean?":
      return typeof value === "boolean";
    case "integer?":
      return Number.isSafeInteger(value);
    case "unsigned?":
      return Number.isSafeInteger(value) && (value as number) >= 0;
    case "ids?":
      return Array.isArray(value) && value.every(isId);
    case "strings?":
      return Array.isArray(value) && value.every((one) => typeof one === "string");
    case "object?":
      return isObject(value);
    case "map?":
      return isObject(value) && Object.values(value).every((one) => isObject(one));
    case "sort?":
      return Array.isArray(value) && value.length <= 10 && value.every(isObject);
  }
}

export function isId(value: unknown): value is string {
  return typeof value === "string" && idShape.test(value);
}

export function isObject(value: unknown): value is Args {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isStringList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}
