/** Parameters: each declared once, in the room that uses it; validation and reference come from there. */

import { Misconfigured } from "#base/errors";

export type ParameterValue = string | number | boolean | readonly string[];

export interface Parameter<Value extends ParameterValue = ParameterValue> {
  /** Safe when absent. */
  readonly default: Value;
  readonly unit?: "ms" | "s" | "bytes" | "count" | "port";
  readonly min?: number;
  readonly max?: number;
  /** Closed set of words. */
  readonly oneOf?: readonly string[];
  /** One sentence for the administrator, with "raise when" or "lower when" where that helps. */
  readonly doc: string;
}

export type ParameterTable = Readonly<Record<string, Parameter>>;

type Widen<Value> = Value extends string
  ? string
  : Value extends number
    ? number
    : Value extends boolean
      ? boolean
      : readonly string[];

/** What a section holds after validation: every key present. */
export type Values<Table extends ParameterTable> = {
  readonly [Key in keyof Table]: Widen<Table[Key]["default"]>;
};

export function defaultsOf<Table extends ParameterTable>(table: Table): Values<Table> {
  const entries = Object.entries(table).map(([key, parameter]) => [key, parameter.default]);
  return Object.fromEntries(entries) as Values<Table>;
}

/** Says what is wrong with a value, or undefined when it fits. */
export function faultOf(parameter: Parameter, value: unknown): string | undefined {
  const kind = Array.isArray(parameter.default) ? "list" : typeof parameter.default;
  if (kind === "list") {
    const fits = Array.isArray(value) && value.every((item) => typeof item === "string");
    return fits ? undefined : "must be a list of strings";
  }
  if (kind === "string" && (typeof value === "number" || typeof value === "boolean")) {
    return `must be a string: write "${value}"`;
  }
  if (typeof value !== kind) return `must be a ${kind}`;
  if (typeof value === "number") {
    if (!Number.isInteger(value)) return "must be a whole number";
    if (parameter.min !== undefined && value < parameter.min)
      return `must be at least ${parameter.min}`;
    if (parameter.max !== undefined && value > parameter.max)
      return `must be at most ${parameter.max}`;
  }
  if (parameter.oneOf !== undefined && !parameter.oneOf.includes(value as string)) {
    return `must be one of: ${parameter.oneOf.join(", ")}`;
  }
  return undefined;
}

/** The known word nearest to a mistyped one, when it is near enough to be meant. */
export function didYouMean(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word.slice(0, 64), candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Swapped neighbours count as one slip, as they are one. */
function editDistance(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, index) => index)];
  const at = (row: number, column: number): number => rows[row]?.[column] ?? Infinity;
  for (let row = 1; row <= from.length; row += 1) {
    rows.push([row]);
    for (let column = 1; column <= to.length; column += 1) {
      const isSame = from[row - 1] === to[column - 1];
      const isSwapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      const least = Math.min(
        at(row - 1, column - 1) + (isSame ? 0 : 1),
        at(row - 1, column) + 1,
        at(row, column - 1) + 1,
        isSwapped ? at(row - 2, column - 2) + 1 : Infinity,
      );
      rows[row]?.push(least);
    }
  }
  return at(from.length, to.length);
}

/** Sections of configuration a program was handed as JSON; already validated where it was read. */
export function section<Table extends ParameterTable>(
  all: Readonly<Record<string, unknown>>,
  name: string,
  table: Table,
): Values<Table> {
  const given = (all[name] ?? {}) as Readonly<Record<string, unknown>>;
  for (const [key, value] of Object.entries(given)) {
    const parameter = table[key];
    const fault = parameter === undefined ? "is not known" : faultOf(parameter, value);
    if (fault !== undefined) throw new Misconfigured(`${name}.${key} ${fault}`);
  }
  return { ...defaultsOf(table), ...given } as Values<Table>;
}
