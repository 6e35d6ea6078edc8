/** Characters and mixtures of scripts that make a text look like another one (UTS 39, a subset). */

/** Unseen, or turning the order of what is seen; but variants of a visible character are not meant. */
const unseen =
  /\p{Cc}|\p{Zl}|\p{Zp}|\p{Bidi_C}|(?!\u200c|\u200d|\ufe0e|\ufe0f|[\u{e0100}-\u{e01ef}])\p{DI}/u;
/** Joiners belong into some scripts and into emoji; between these letters they only hide. */
const joinedLetters =
  /[\p{sc=Latin}\p{sc=Cyrillic}\p{sc=Greek}\d@.][\u200c\u200d]|[\u200c\u200d][\p{sc=Latin}\p{sc=Cyrillic}\p{sc=Greek}\d@.]/u;

export function holdsUnseen(text: string): boolean {
  return unseen.test(text) || joinedLetters.test(text);
}

const alone = [
  "Latin",
  "Cyrillic",
  "Greek",
  "Arabic",
  "Hebrew",
  "Armenian",
  "Georgian",
  "Devanagari",
  "Bengali",
  "Gurmukhi",
  "Gujarati",
  "Oriya",
  "Tamil",
  "Telugu",
  "Kannada",
  "Malayalam",
  "Sinhala",
  "Thai",
  "Lao",
  "Tibetan",
  "Myanmar",
  "Khmer",
  "Ethiopic",
];
/** UTS 39 §5.2 "highly restrictive": these are written together, and with Latin. */
const together = [
  ["Latin", "Han", "Hiragana", "Katakana"],
  ["Latin", "Han", "Bopomofo"],
  ["Latin", "Han", "Hangul"],
];
const profiles: readonly RegExp[] = [...alone.map((script) => [script]), ...together].map(
  (scripts) => {
    const classes = scripts.map((script) => `\\p{scx=${script}}`).join("");
    return new RegExp(`^[${classes}\\p{sc=Common}\\p{sc=Inherited}]*$`, "u");
  },
);

/** Are the letters of scripts that nobody writes in one word? @param word without white space */
export function mixesScripts(word: string): boolean {
  return !/^[\0-\x7f]*$/.test(word) && !profiles.some((profile) => profile.test(word));
}

/** What deceives in a name or an address; the first of both that is found, or undefined. */
export function deceptionIn(text: string): "unseen" | "mixed-scripts" | undefined {
  if (/^[ -~]*$/.test(text)) return undefined;
  if (holdsUnseen(text)) return "unseen";
  return text.split(/[\s@.,'"()/_-]+/).some(mixesScripts) ? "mixed-scripts" : undefined;
}

/** Letters of other scripts that look like these ASCII letters in common fonts. */
const lookLike: Readonly<Record<string, string>> = {
  a: "аαɑаａ",
  b: "ЬьƄ",
  c: "сϲᴄⅽ",
  d: "ԁⅾɗ",
  e: "еҽєεе℮",
  f: "ƒſ",
  g: "ɡɢցğ",
  h: "һнհ",
  j: "јյϳ",
  k: "кκ",
  l: "ӏіıιΙІɩǀⅼ1iłɭ|",
  m: "мⅿ",
  n: "пηոռ",
  o: "оοσօᴏ0ө०๐",
  p: "рρ",
  q: "ԛզ",
  r: "гᴦ",
  s: "ѕʂ5",
  t: "тτţ",
  u: "υսᴜц",
  v: "νѵⅴ",
  w: "ԝшωɯ",
  x: "хχⅹ",
  y: "уүγყ",
  z: "ᴢʐ",
};
const asciiFor: ReadonlyMap<string, string> = new Map(
  Object.entries(lookLike).flatMap(([ascii, others]) =>
    Array.from(others, (one) => [one, ascii] as const),
  ),
);

/**
 * What a text looks like at a glance: two texts of one skeleton are easily taken for each other.
 * Marks and hyphens are dropped, "rn" reads as "m", a digit as the letter it stands for.
 */
export function skeleton(text: string): string {
  let out = "";
  for (const letter of text.toLowerCase().normalize("NFKD")) {
    if (!/[\p{M}\u00ad\u200b-\u200f\u2060-\u2064\ufeff-]/u.test(letter)) {
      out += asciiFor.get(letter) ?? letter;
    }
  }
  return out.replaceAll("rn", "m").replaceAll("vv", "w").replaceAll("cl", "d");
}

/** Is every letter of this word one that looks like a Latin one, and not one of them Latin? */
export function posesAsLatin(word: string): boolean {
  return !/\p{sc=Latin}/u.test(word) && /[^\0-\x7f]/.test(word) && /^[ -~]+$/.test(skeleton(word));
}
