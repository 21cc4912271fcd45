/** The compiled generator; wasm/ has its source, `deno task check` compares the two. */
declare const generator: WebAssembly.Module;
export default generator;
