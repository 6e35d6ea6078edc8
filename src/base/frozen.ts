/**
 * Freezes what the language brings, so that no slip (a foreign key taken as a property's name) can change
 * what every object inherits. Loaded first by `--import` (docs/decisions/0035).
 *
 * Frozen data properties cost nothing. The engine's own `--frozen-intrinsics` turns them into accessors,
 * so that assigning a name that a prototype has still works; then regular expressions and much else leave
 * their fast paths.
 */

const built: readonly unknown[] = [
  [Object, Function, Array, Promise, Proxy, Symbol, Boolean, Number, BigInt, String, Date],
  [Map, Set, WeakMap, WeakSet, WeakRef, FinalizationRegistry, Iterator],
  [ArrayBuffer, SharedArrayBuffer, DataView, Uint8Array, Int8Array, Uint16Array, Int16Array],
  [Uint32Array, Int32Array, BigUint64Array, BigInt64Array, Float32Array, Float64Array],
  [Uint8ClampedArray, JSON, Math, Reflect, Atomics, Intl],
  [async () => undefined, function* () {}, async function* () {}].map((one) =>
    Object.getPrototypeOf(one),
  ),
  [[].values(), new Map().values(), new Set().values(), "".matchAll(/x/g)].map((one) =>
    Object.getPrototypeOf(one),
  ),
].flat();

/** Node and we give errors properties that their prototypes have too (name, message). */
const errors: readonly ErrorConstructor[] = [
  Error,
  TypeError,
  RangeError,
  SyntaxError,
  EvalError,
  ReferenceError,
  URIError,
];

const seen = new Set<unknown>(errors);

function freeze(value: unknown): void {
  if (
    (typeof value !== "object" && typeof value !== "function") ||
    value === null ||
    seen.has(value)
  )
    return;
  seen.add(value);
  Object.freeze(value);
  freeze(Object.getPrototypeOf(value));
  for (const { value: inner, get, set } of Object.values(Object.getOwnPropertyDescriptors(value))) {
    [inner, get, set].forEach(freeze);
  }
}

for (const one of built) freeze(one);
for (const { prototype } of errors) Object.preventExtensions(prototype);
