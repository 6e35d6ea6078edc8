/** How far something has come: one line on the terminal, nothing where nobody looks. */

const mebibyte = 1_048_576;

export interface Progress {
  tell(doneBytes: number, allBytes: number): void;
  /** Leaves the terminal as it was. */
  end(): void;
}

/** @param what is done, in one word: "copied" */
export function progressOn(stream: NodeJS.WriteStream, what: string): Progress {
  if (!stream.isTTY) return { tell: () => undefined, end: () => undefined };
  let shown = "";
  return {
    tell(done, all) {
      const percent = all === 0 ? 100 : Math.floor((100 * done) / all);
      const mib = (bytes: number): string => (bytes / mebibyte).toFixed(0);
      const text = `${String(percent).padStart(3)} %  ${mib(done)} of ${mib(all)} MiB ${what}`;
      if (text === shown) return;
      stream.write(`\r${text.padEnd(shown.length)}`);
      shown = text;
    },
    end() {
      if (shown !== "") stream.write(`\r${" ".repeat(shown.length)}\r`);
    },
  };
}
