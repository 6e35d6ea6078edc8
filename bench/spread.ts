/** Minimum, median and maximum of a few figures. */

export function spread(figures: readonly number[]): {
  readonly min: number;
  readonly median: number;
  readonly max: number;
} {
  const sorted = figures.toSorted((a, b) => a - b);
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  return { min: at(0), median: at(Math.floor(sorted.length / 2)), max: at(sorted.length - 1) };
}

export function spreadText(figures: readonly number[]): string {
  const { min, median, max } = spread(figures);
  const text = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
  return `${text(min)}/${text(median)}/${text(max)}`;
}
