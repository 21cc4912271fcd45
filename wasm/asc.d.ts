// What build.ts uses of assemblyscript/asc, so that its types are checked without fetching the compiler.

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
