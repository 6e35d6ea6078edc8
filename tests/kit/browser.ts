/** A real browser for scenarios: Debian's Chromium without anything that calls home. */

import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const executablePath = "/usr/bin/chromium";

export const hasBrowser: boolean = existsSync(executablePath);

export interface BrowserOptions {
  /** More arguments, such as where a name leads. */
  readonly args?: readonly string[];
  /** Another way to start it: in a network namespace. */
  readonly executable?: string;
}

export function launchBrowser(options: BrowserOptions = {}): Promise<Browser> {
  return chromium.launch({
    executablePath: options.executable ?? executablePath,
    headless: true,
    args: [
      ...(options.args ?? []),
      ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
      ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
    ],
  });
}
