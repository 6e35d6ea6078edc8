/** References to earlier results (RFC 8620 §3.7), and bounds on what a request may build with them. */

import { type Args, isObject } from "./arguments.ts";
import { type Failure, failed } from "./failure.ts";

/** [method, arguments, call id] */
export type Invocation = readonly [string, Args, string];

/** What is left of the bound that all references of one request share. */
export interface Budget {
  left: number;
}

/** Puts earlier results in place of every "#name" argument. */
export function resolveReferences(
  args: Args,
  earlier: readonly Invocation[],
  budget: Budget,
): Args | Failure {
  const names = Object.keys(args).filter((name) => name.startsWith("#"));
  if (names.length === 0) return args;
  const resolved: [string, unknown][] = Object.entries(args).filter(
    ([name]) => !name.startsWith("#"),
  );
  for (const name of names) {
    const plain = name.slice(1);
    if (Object.hasOwn(args, plain)) return failed("invalidArguments", `${plain} is given twice`);
    const found = follow(args[name], earlier, budget);
    if (found === undefined) return failed("invalidResultReference", plain.slice(0, 64));
    resolved.push([plain, found.value]);
  }
  return Object.fromEntries(resolved);
}

function follow(
  reference: unknown,
  earlier: readonly Invocation[],
  budget: Budget,
): { readonly value: unknown } | undefined {
  if (!isObject(reference)) return undefined;
  const { resultOf, name, path } = reference;
  if (typeof resultOf !== "string" || typeof path !== "string" || path.length > 512)
    return undefined;
  const call = earlier.find((one) => one[2] === resultOf);
  if (call === undefined || call[0] !== name) return undefined;
  if (path !== "" && !path.startsWith("/")) return undefined;
  const steps = path.split("/").slice(1, 33);
  const found = walk(call[1], steps, budget);
  if (found === undefined || !weighs(found.value, budget)) return undefined;
  return found;
}

/** A JSON Pointer (RFC 6901) in which "*" maps over a list and flattens lists of lists. */
function walk(
  from: unknown,
  steps: readonly string[],
  budget: Budget,
): { readonly value: unknown } | undefined {
  let value = from;
  for (const [index, step] of steps.entries()) {
    if (Array.isArray(value) && step === "*") {
      const rest = steps.slice(index + 1);
      const all: unknown[] = [];
      for (const item of value) {
        budget.left -= 1;
        if (budget.left < 0) return undefined;
        const one = walk(item, rest, budget);
        if (one === undefined) return undefined;
        if (!Array.isArray(one.value)) all.push(one.value);
        else {
          budget.left -= one.value.length;
          if (budget.left < 0) return undefined;
          for (const inner of one.value) all.push(inner);
        }
      }
      return { value: all };
    }
    const key = step.replaceAll("~1", "/").replaceAll("~0", "~");
    if (Array.isArray(value)) {
      if (!/^(0|[1-9]\d{0,8})$/.test(key) || Number(key) >= value.length) return undefined;
      value = value[Number(key)];
    } else if (isObject(value) && Object.hasOwn(value, key)) value = value[key];
    else return undefined;
  }
  return { value };
}

/**
 * Takes the value's size from the budget. References to references share memory but grow twofold
 * with each step when they are written out, so the size is counted as it would be written.
 */
function weighs(value: unknown, budget: Budget): boolean {
  const open: unknown[] = [value];
  while (open.length > 0) {
    const one = open.pop();
    budget.left -= typeof one === "string" ? 1 + one.length : 1;
    if (budget.left < 0) return false;
    if (typeof one !== "object" || one === null) continue;
    for (const [key, inner] of Object.entries(one)) {
      budget.left -= Array.isArray(one) ? 0 : key.length;
      open.push(inner);
    }
  }
  return true;
}

/** Whether lists and objects nest deeper than that; does not recurse itself. */
export function isDeeperThan(value: unknown, most: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    const below: unknown[] = [];
    for (const one of level) {
      if (typeof one !== "object" || one === null) continue;
      if (depth >= most) return true;
      for (const inner of Object.values(one)) below.push(inner);
    }
    level = below;
  }
  return false;
}
