/** Where it can be found out whether an address exists. */

export interface RecipientSource extends AsyncDisposable {
  /**
   * @param address with its domain in lower case
   * @throws Unavailable when it cannot be found out now
   */
  has(address: string): Promise<boolean>;
  /** What is wrong although questions are answered; empty: nothing. */
  trouble?(): string;
}

/** "user@example.org" of "user+tag@example.org"; undefined when there is no tag. */
export function withoutTag(address: string): string | undefined {
  const plus = address.indexOf("+");
  const at = address.lastIndexOf("@");
  return plus > 0 && plus < at ? address.slice(0, plus) + address.slice(at) : undefined;
}
