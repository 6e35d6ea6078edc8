/** What a method answers instead of its result (RFC 8620 §3.6.2), and what one object meets (§5.3). */

type MethodError =
  | "accountNotFound"
  | "accountReadOnly"
  | "anchorNotFound"
  | "cannotCalculateChanges"
  | "fromAccountNotFound"
  | "invalidArguments"
  | "invalidResultReference"
  | "requestTooLarge"
  | "serverFail"
  | "serverUnavailable"
  | "stateMismatch"
  | "tooManyChanges"
  | "unknownMethod"
  | "unsupportedFilter"
  | "unsupportedSort";

export class Failure {
  readonly type: MethodError;
  readonly description: string | undefined;

  constructor(type: MethodError, description?: string) {
    this.type = type;
    this.description = description;
  }
}

export function failed(type: MethodError, description?: string): Failure {
  return new Failure(type, description);
}

/** RFC 8620 §5.3, RFC 8621 §2.5, §4.6, §7.5. */
export interface SetError {
  readonly type: string;
  readonly description?: string;
  readonly properties?: readonly string[];
  readonly [more: string]: unknown;
}

export function invalid(properties: readonly string[], description: string): SetError {
  return { type: "invalidProperties", properties, description };
}

export type Outcome<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly error: SetError };

export function done<Value>(value: Value): Outcome<Value> {
  return { ok: true, value };
}

export function refused<Value>(error: SetError): Outcome<Value> {
  return { ok: false, error };
}
