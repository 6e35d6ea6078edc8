/** Wording of payment fraud: a changed account, an urgent transfer, gift cards (CAP-105). Evidence only. */

/** In characters; what comes later in a message is not what makes people pay. */
const maxSample = 4000;

const account =
  "(?:bank (?:account|details|data|information)|account (?:details|number)|payment details|remittance details|iban|" +
  "bankverbindung|bankdaten|kontodaten|kontoverbindung|kontonummer|" +
  "coordonnees bancaires|compte bancaire|rib|" +
  "datos bancarios|cuenta bancaria|numero de cuenta)";
const change =
  "(?:new|chang(?:e|es|ed|ing)|updat(?:e|ed)|different|" +
  "neue[nrs]?|geandert\\w*|anderung|aktualisiert\\w*|" +
  "nouve(?:au|l|lle|lles)|change(?:es|ment)?|modifie\\w*|" +
  "nuev[ao]s?|cambiad[ao]s?|cambio|actualizad[ao]s?)";

interface Wording {
  /** Every match holds one of these; looking for them costs little, and most mail has none. */
  readonly stems: readonly string[];
  /** Each gap is bounded, so that the time is linear in the text. */
  readonly patterns: readonly RegExp[];
}

const wordings: readonly Wording[] = [
  {
    stems: ["bank", "account", "payment", "remittance", "iban", "konto", "banca", "rib", "cuenta"],
    patterns: [
      new RegExp(`\\b${change}\\b[^.!?]{0,50}\\b${account}\\b`, "u"),
      new RegExp(`\\b${account}\\b[^.!?]{0,50}\\b${change}\\b`, "u"),
    ],
  },
  {
    stems: ["gift"],
    patterns: [/\b(?:buy|purchase|get|need|send|scratch)\b[^.!?]{0,60}\bgift ?cards?\b/u],
  },
  {
    stems: ["gutscheinkart", "geschenkkart"],
    patterns: [
      /\b(?:kaufe?n?|besorgen?|brauche|schicke?n?)\b[^.!?]{0,60}\b(?:gutscheinkarten?|geschenkkarten?)\b/u,
      /\b(?:gutscheinkarten?|geschenkkarten?)\b[^.!?]{0,60}\b(?:kaufe?n?|besorgen?|schicke?n?)\b/u,
    ],
  },
  {
    stems: ["cadeau"],
    patterns: [/\b(?:achet\w+|besoin|envoy\w+)\b[^.!?]{0,60}\bcartes? cadeaux?\b/u],
  },
  {
    stems: ["regalo"],
    patterns: [/\b(?:compr\w+|necesito|envi\w+)\b[^.!?]{0,60}\btarjetas? (?:de )?regalo\b/u],
  },
  {
    stems: ["urgent", "immediate", "confidential"],
    patterns: [
      /\b(?:urgent|immediate|confidential)\w*\b[^.!?]{0,60}\b(?:wire|transfer|payment)\b/u,
      /\b(?:wire|transfer|payment)\b[^.!?]{0,60}\b(?:urgent|immediate|confidential)\w*\b/u,
    ],
  },
  {
    stems: ["dringend", "eilig", "sofort", "vertraulich"],
    patterns: [
      /\b(?:dringend\w*|eilig\w*|sofort\w*|vertraulich\w*)\b[^.!?]{0,60}\b(?:\w{0,20}uberweis\w+|zahlung\w*)/u,
      /\b(?:uberweis\w+|zahlung\w*)\b[^.!?]{0,60}\b(?:dringend\w*|eilig\w*|sofort\w*|vertraulich\w*)\b/u,
    ],
  },
  {
    stems: ["virement", "paiement"],
    patterns: [/\b(?:virement|paiement)\b[^.!?]{0,60}\b(?:urgent|immediat|confidentiel)\w*/u],
  },
  {
    stems: ["transferencia", "pago"],
    patterns: [/\b(?:transferencia|pago)\b[^.!?]{0,60}\b(?:urgente|inmediat[ao]|confidencial)\b/u],
  },
];

/** One pass tells of most mail that there is nothing to look for. */
const anyStem = new RegExp(wordings.flatMap(({ stems }) => stems).join("|"));

/** White space that is not one blank already; most of it is, and stays where it is. */
const blanks = / \s+|[^\S ]\s*/g;

/** @returns the words that were found, or undefined */
export function paymentWording(subject: string, sample: string): string | undefined {
  const raw = `${subject.slice(0, 500)}. ${sample.slice(0, maxSample)}`;
  const isAscii = /^[\0-\x7f]*$/.test(raw);
  const letters = isAscii ? raw : raw.normalize("NFKD").replace(/\p{M}+/gu, "");
  const text = letters.slice(0, maxSample).toLowerCase().replace(blanks, " ");
  if (!anyStem.test(text)) return undefined;
  for (const { stems, patterns } of wordings) {
    if (!stems.some((stem) => text.includes(stem))) continue;
    for (const pattern of patterns) {
      const found = pattern.exec(text);
      if (found !== null) return found[0].slice(0, 120);
    }
  }
  return undefined;
}
