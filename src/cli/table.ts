/** Plain tables for people; scripts use --json. */

/** Strangers write into cells: nothing that moves a terminal's cursor gets through. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, " ");
}

/** Columns as wide as their widest cell, two spaces apart, no trailing blanks. */
export function textTable(given: readonly (readonly string[])[]): string {
  const rows = given.map((row) => row.map(plain));
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    }
  }
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export function localTime(atMs: number): string {
  const at = new Date(atMs);
  if (Number.isNaN(at.getTime())) return "unknown";
  return `${at.toISOString().replace("T", " ").slice(0, 19)}Z`;
}
