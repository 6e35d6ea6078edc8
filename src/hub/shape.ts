/** Shapes of JSON as functions: compiled once, then only comparisons for each message. */

/** Whether a value that JSON.parse made has the shape. */
export type Shape = (value: unknown) => boolean;

export const isBoolean: Shape = (value) => typeof value === "boolean";
/** Finite by itself: JSON knows no other numbers, and an overflow is refused here. */
export const isNumber: Shape = (value) => Number.isFinite(value);

export const nothing: Shape = () => false;

export function text(maxLength: number): Shape {
  return (value) => typeof value === "string" && value.length <= maxLength;
}

/** Text of which a test holds. */
export function textThat(holds: (value: string) => boolean): Shape {
  return (value) => typeof value === "string" && holds(value);
}

export function matching(pattern: RegExp): Shape {
  return textThat((value) => pattern.test(value));
}

export function oneOf(...words: readonly string[]): Shape {
  return (value) => words.includes(value as string);
}

export function either(one: Shape, other: Shape): Shape {
  return (value) => one(value) || other(value);
}

export function list(item: Shape, atMost: number, atLeast = 0): Shape {
  return (value) => {
    if (!Array.isArray(value) || value.length > atMost || value.length < atLeast) return false;
    for (let at = 0; at < value.length; at += 1) if (!item(value[at])) return false;
    return true;
  };
}

/** Every key and every value of an object has its shape. */
export function table(key: Shape, item: Shape): Shape {
  return (value) => {
    if (!isObject(value)) return false;
    for (const name in value) if (!key(name) || !item(value[name])) return false;
    return true;
  };
}

type OptionalKeys<Value> = {
  [Key in keyof Value]-?: object extends Pick<Value, Key> ? Key : never;
}[keyof Value];

type Shapes<Key extends PropertyKey> = Readonly<Record<Key, Shape>>;

/**
 * An object with all of the first keys, maybe some of the others, and nothing else. The compiler
 * holds both to the type: a key that joins it cannot be forgotten here.
 */
export function object<Value>(
  required: Shapes<Exclude<keyof Value, OptionalKeys<Value>>>,
  ...[optional]: [OptionalKeys<Value>] extends [never] ? [] : [Shapes<OptionalKeys<Value>>]
): Shape {
  // A map, because "__proto__" and its like may come as keys.
  const shapes = new Map<string, Shape>(Object.entries({ ...required, ...optional }));
  const needed = Object.keys(required);
  return (value) => {
    if (!isObject(value)) return false;
    for (const name in value) {
      const shape = shapes.get(name);
      if (shape === undefined || !shape(value[name])) return false;
    }
    for (const name of needed) if (!Object.hasOwn(value, name)) return false;
    return true;
  };
}

/** One of several objects; what stands under the key says which. */
export function oneBy(key: string, shapes: Readonly<Record<string, Shape>>): Shape {
  const known = new Map(Object.entries(shapes));
  return (value) => isObject(value) && known.get(value[key] as string)?.(value) === true;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
