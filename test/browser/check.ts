// Format, lint and types of this folder, which has a configuration of its own.

for (const args of [["fmt", "--check"], ["lint"], ["check", "."]]) {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: [...args, "--quiet"],
    cwd: new URL(".", import.meta.url).pathname,
  }).spawn().status;
  if (!success) Deno.exit(1);
}
