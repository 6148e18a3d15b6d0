// Through the API of componentize-js: its command line needs a newer Node.
import { writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const { component } = await componentize({ sourcePath: "hello.js", witPath: "handler.wit", worldName: "handler" });
await writeFile("hello-javascript.wasm", component);
