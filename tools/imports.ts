/** Reads the import statements of the tree and resolves doors to files. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

export interface Import {
  readonly from: string;
  readonly specifier: string;
  /** File below the root, or undefined for Node's own and third-party modules. */
  readonly target: string | undefined;
  readonly typeOnly: boolean;
  readonly line: number;
}

const statement =
  /(?:^|\n)\s*(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)/g;

export function filesBelow(root: string, folder: string): string[] {
  const at = join(root, folder);
  if (!existsSync(at)) return [];
  return readdirSync(at, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "node_modules" ? [] : filesBelow(root, path);
    return path.endsWith(".ts") ? [path] : [];
  });
}

export function doorsOf(root: string): Readonly<Record<string, string>> {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    imports: Record<string, string>;
  };
  return manifest.imports;
}

export function importsOf(root: string, file: string): Import[] {
  const text = readFileSync(join(root, file), "utf8");
  const doors = doorsOf(root);
  return [...text.matchAll(statement)].map((match) => {
    const specifier = match[2] ?? match[3] ?? "";
    return {
      from: file,
      specifier,
      target: resolveFrom(root, file, specifier, doors),
      typeOnly: match[1] !== undefined,
      line: text.slice(0, match.index).split("\n").length + (match[0].startsWith("\n") ? 1 : 0),
    };
  });
}

function resolveFrom(
  root: string,
  file: string,
  specifier: string,
  doors: Readonly<Record<string, string>>,
): string | undefined {
  if (specifier.startsWith("#"))
    return (doors[specifier] ?? `no-door/${specifier}`).replace(/^\.\//, "");
  if (!specifier.startsWith(".")) return undefined;
  return relative(root, resolve(root, dirname(file), specifier));
}
