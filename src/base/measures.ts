/** Counters and distributions that events feed; rendered as OpenMetrics text. */

export type Labels = Readonly<Record<string, string>>;

/** One series as it travels between programs. */
export interface Sample {
  readonly name: string;
  readonly labels: Labels;
  readonly value: number;
}

export interface Counter {
  add(labels?: Labels, by?: number): void;
}

export interface Gauge {
  set(value: number, labels?: Labels): void;
}

export interface Histogram {
  /** In the unit of the name, by convention seconds. */
  observe(value: number, labels?: Labels): void;
}

/** Seconds; covers a commit of 0.3 ms and a queue of days. */
const bounds = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600,
];

interface Family {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly values: Map<string, { labels: Labels; value: number; buckets: number[]; count: number }>;
}

/** A program has one registry; rooms get it as an argument of their events. */
export class Registry {
  readonly #families = new Map<string, Family>();

  counter(name: string, help: string): Counter {
    const family = this.#family(name, "counter", help);
    return {
      add(labels = {}, by = 1) {
        series(family, labels).value += by;
      },
    };
  }

  gauge(name: string, help: string): Gauge {
    const family = this.#family(name, "gauge", help);
    return {
      set(value, labels = {}) {
        series(family, labels).value = value;
      },
    };
  }

  histogram(name: string, help: string): Histogram {
    const family = this.#family(name, "histogram", help);
    return {
      observe(value, labels = {}) {
        const one = series(family, labels);
        one.value += value;
        one.count += 1;
        const at = bounds.findIndex((bound) => value <= bound);
        const index = at < 0 ? bounds.length : at;
        one.buckets[index] = (one.buckets[index] ?? 0) + 1;
      },
    };
  }

  /** Every series as plain samples, histograms as their cumulative buckets, sum and count. */
  samples(): Sample[] {
    const all: Sample[] = [];
    for (const [name, family] of this.#families) {
      for (const one of family.values.values()) {
        if (family.type === "counter") {
          all.push({ name: `${name}_total`, labels: one.labels, value: one.value });
        } else if (family.type === "gauge") {
          all.push({ name, labels: one.labels, value: one.value });
        } else {
          let below = 0;
          for (const [index, bound] of [...bounds, "+Inf"].entries()) {
            below += one.buckets[index] ?? 0;
            const labels = { ...one.labels, le: String(bound) };
            all.push({ name: `${name}_bucket`, labels, value: below });
          }
          all.push({ name: `${name}_sum`, labels: one.labels, value: one.value });
          all.push({ name: `${name}_count`, labels: one.labels, value: one.count });
        }
      }
    }
    return all;
  }

  /** Name without suffix, to its type and help, for the text form. */
  families(): ReadonlyMap<string, { readonly type: string; readonly help: string }> {
    return this.#families;
  }

  #family(name: string, type: Family["type"], help: string): Family {
    let family = this.#families.get(name);
    if (family === undefined) {
      family = { type, help, values: new Map() };
      this.#families.set(name, family);
    }
    return family;
  }
}

function series(
  family: Family,
  labels: Labels,
): { labels: Labels; value: number; buckets: number[]; count: number } {
  let key = "";
  for (const name in labels) key += `${name}\0${labels[name]}\0`;
  let one = family.values.get(key);
  if (one === undefined) {
    one = { labels, value: 0, buckets: [], count: 0 };
    family.values.set(key, one);
  }
  return one;
}

/** OpenMetrics 1.0 text. Samples of other programs come with a `program` label already set. */
export function openMetricsText(registry: Registry, others: readonly Sample[] = []): string {
  const all = [...registry.samples(), ...others];
  const lines: string[] = [];
  const known = new Map(registry.families());
  const familyOf = (name: string): string => {
    if (known.has(name)) return name;
    return name.replace(/_(total|bucket|sum|count)$/, "");
  };
  const grouped = Map.groupBy(all, (sample) => familyOf(sample.name));
  for (const [name, samples] of grouped) {
    const family = known.get(name);
    const type = family?.type ?? guessType(samples);
    lines.push(`# TYPE ${name} ${type}`);
    if (family !== undefined) lines.push(`# HELP ${name} ${escapeText(family.help)}`);
    for (const { name: full, labels, value } of samples) {
      const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeText(text)}"`);
      lines.push(`${full}${pairs.length > 0 ? `{${pairs.join(",")}}` : ""} ${value}`);
    }
  }
  lines.push("# EOF", "");
  return lines.join("\n");
}

function guessType(samples: readonly Sample[]): string {
  const first = samples[0]?.name ?? "";
  if (samples.some((sample) => sample.name.endsWith("_bucket"))) return "histogram";
  return first.endsWith("_total") ? "counter" : "gauge";
}

function escapeText(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
}
