/** The compiled core; wasm/ has its source, `deno task check` compares the two. */
declare const core: WebAssembly.Module;
export default core;
