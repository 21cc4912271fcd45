// Prometheus and its tool, as Debian's package prometheus has them.

const PLACES = ["/usr/bin", "/usr/local/bin"];

/** Why a program of Prometheus cannot be run here, and what helps; null = it can. */
export function whyNoPrometheus(program: "promtool" | "prometheus"): string | null {
  const isThere = PLACES.some((place) => {
    try {
      return Deno.statSync(`${place}/${program}`).isFile;
    } catch {
      return false;
    }
  });
  if (isThere) return null;
  const why = `no ${program}: install it by apt-get install prometheus`;
  console.log(`Tests are skipped: ${why}`);
  return why;
}
