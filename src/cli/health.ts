// health: whether the service on this machine is well, for those who look by a command: Docker's HEALTHCHECK, a script.
//
//   stockflow health [--http.port=8080]     HTTP_PORT does as well
//
// Exit 0 while it answers look-ups or stands by, else 1; what /readyz says is printed. Nothing is imported, for it is
// asked often.

/** The default of http.port. */
const DEFAULT_PORT = 8080;

if (import.meta.main) {
  const flag = Deno.args.find((arg) => arg.startsWith("--http.port="))?.split("=")[1];
  const port = flag ?? Deno.env.get("HTTP_PORT") ?? DEFAULT_PORT;
  const url = `http://127.0.0.1:${port}/readyz?for=stand-by`;
  let isWell = false;
  try {
    const response = await fetch(url);
    console.log((await response.text()).trim());
    isWell = response.ok;
  } catch (error) {
    // "fetch failed" alone says nothing; the cause ends in what the system said: Connection refused.
    const { message, cause } = error as Error;
    const why = cause instanceof Error ? cause.message.split(": ").at(-1) : message;
    console.log(`${url} does not answer: ${why}`);
  }
  Deno.exit(isWell ? 0 : 1);
}
