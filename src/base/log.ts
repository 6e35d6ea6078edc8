/** Structured log: JSON lines on stderr, one write per turn of the event loop. */

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Facts of an event. Never content, never credentials. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  /** @param event stable dotted name, "room.what-happened" */
  write(level: LogLevel, event: string, fields?: LogFields): void;
}

/** @param program name that every line carries */
export function jsonLog(program: string, lowest: LogLevel = "info"): Log {
  const rank = { debug: 0, info: 1, warn: 2, error: 3 } as const;
  let pending = "";
  const flush = (): void => {
    const text = pending;
    pending = "";
    process.stderr.write(text);
  };
  return {
    write(level, event, fields) {
      if (rank[level] < rank[lowest]) return;
      if (pending === "") setImmediate(flush);
      const line = { at: new Date().toISOString(), level, program, event, ...fields };
      pending += `${JSON.stringify(line)}\n`;
    },
  };
}

export const silentLog: Log = { write() {} };
