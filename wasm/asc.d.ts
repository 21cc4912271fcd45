// What build.ts uses of assemblyscript/asc. The top deno.json names this file, so that types are checked
// everywhere without fetching the compiler; wasm/deno.json names the compiler itself.

interface Options {
  readFile(name: string, base: string): Promise<string | null>;
  writeFile(name: string, contents: Uint8Array | string): void;
  listFiles(): null;
}

declare const asc: {
  main(args: string[], options: Options): Promise<{
    readonly error: Error | null;
    readonly stderr: { toString(): string };
  }>;
};

export default asc;
