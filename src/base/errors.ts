/** What the environment may do to us. Hostile input is a Result; a bug is an assertion. */

/** Something we need does not answer now: try later. Borders map it to 4xx, 503 or exit code 75. */
export class Unavailable extends Error {
  override readonly name = "Unavailable";
}

/** The installation is wrong and stays wrong until somebody mends it: exit code 78. */
export class Misconfigured extends Error {
  override readonly name = "Misconfigured";
}

/** The caller may not do this: exit code 77. */
export class Denied extends Error {
  override readonly name = "Denied";
}

/** A store or a queue has no room: 452, and it recovers alone. */
export class Full extends Unavailable {}
