import source generator from "./generator.wasm";
export default generator;
